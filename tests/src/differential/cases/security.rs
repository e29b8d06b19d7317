//! ACLs, delegation tokens and SCRAM users, on a cluster that has none of them.

use kafka_wire::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_wire::create_acls_request::AclCreation;
use kafka_wire::create_delegation_token_request::CreatableRenewers;
use kafka_wire::delete_acls_request::DeleteAclsFilter;
use kafka_wire::describe_user_scram_credentials_request::UserName;
use kafka_wire::{
    AlterUserScramCredentialsRequest, CreateAclsRequest, CreateDelegationTokenRequest,
    DeleteAclsRequest, DescribeAclsRequest, DescribeDelegationTokenRequest,
    DescribeUserScramCredentialsRequest, ExpireDelegationTokenRequest, RenewDelegationTokenRequest,
    SaslAuthenticateRequest, SaslHandshakeRequest,
};

use kafka_wire_core::StrBytes;

use super::super::session::{Session, Stopped};
use super::{Case, message, text};

pub(super) const CASES: &[Case] = &[
    Case {
        key: 17,
        name: "SaslHandshake/plaintext",
        first: 0,
        run: shake_hands,
    },
    Case {
        key: 29,
        name: "DescribeAcls/no authorizer",
        first: 0,
        run: describe_acls,
    },
    Case {
        key: 30,
        name: "CreateAcls/no authorizer",
        first: 0,
        run: create_acls,
    },
    Case {
        key: 31,
        name: "DeleteAcls/no authorizer",
        first: 0,
        run: delete_acls,
    },
    Case {
        key: 36,
        name: "SaslAuthenticate/plaintext",
        first: 0,
        run: authenticate,
    },
    Case {
        key: 38,
        name: "CreateDelegationToken/plaintext",
        first: 0,
        run: create_token,
    },
    Case {
        key: 39,
        name: "RenewDelegationToken/plaintext",
        first: 0,
        run: |session| session.ask("any", &RenewDelegationTokenRequest::default()),
    },
    Case {
        key: 40,
        name: "ExpireDelegationToken/plaintext",
        first: 0,
        run: |session| session.ask("any", &ExpireDelegationTokenRequest::default()),
    },
    Case {
        key: 41,
        name: "DescribeDelegationToken/plaintext",
        first: 0,
        run: |session| session.ask("all", &DescribeDelegationTokenRequest::default()),
    },
    Case {
        key: 50,
        name: "DescribeUserScramCredentials/none",
        first: 0,
        run: describe_users,
    },
    Case {
        key: 51,
        name: "AlterUserScramCredentials/none",
        first: 0,
        run: alter_users,
    },
];

/// Numbers to try for each enumeration: unknown, any, none at all.
const NUMBERS: [i8; 3] = [0, 1, 99];

fn describe_acls(session: &mut Session) -> Result<(), Stopped> {
    for number in NUMBERS {
        for field in ["resource", "pattern", "operation", "permission"] {
            let pick = |name: &str| if name == field { number } else { 1 };
            let request = message!(DescribeAclsRequest {
                resource_type_filter: pick("resource"),
                pattern_type_filter: pick("pattern"),
                operation: pick("operation"),
                permission_type: pick("permission"),
            });
            session.ask(&format!("{field} {number}"), &request)?;
        }
    }
    Ok(())
}

fn create_acls(session: &mut Session) -> Result<(), Stopped> {
    let creation = |number: i8, field: &str| {
        let pick = |name: &str| if name == field { number } else { 3 };
        message!(AclCreation {
            resource_type: pick("resource"),
            resource_name: text("t"),
            resource_pattern_type: pick("pattern"),
            principal: text("User:a"),
            host: text("*"),
            operation: pick("operation"),
            permission_type: pick("permission"),
        })
    };
    session.ask("none", &CreateAclsRequest::default())?;
    for number in NUMBERS {
        for field in ["resource", "pattern", "operation", "permission"] {
            let request = message!(CreateAclsRequest {
                creations: vec![creation(3, ""), creation(number, field)],
            });
            session.ask(&format!("{field} {number}"), &request)?;
        }
    }
    Ok(())
}

fn delete_acls(session: &mut Session) -> Result<(), Stopped> {
    let filter = |number: i8, field: &str| {
        let pick = |name: &str| if name == field { number } else { 1 };
        message!(DeleteAclsFilter {
            resource_type_filter: pick("resource"),
            pattern_type_filter: pick("pattern"),
            operation: pick("operation"),
            permission_type: pick("permission"),
        })
    };
    session.ask("none", &DeleteAclsRequest::default())?;
    for number in NUMBERS {
        for field in ["resource", "pattern", "operation", "permission"] {
            let request = message!(DeleteAclsRequest {
                filters: vec![filter(1, ""), filter(number, field)],
            });
            session.ask(&format!("{field} {number}"), &request)?;
        }
    }
    Ok(())
}

fn create_token(session: &mut Session) -> Result<(), Stopped> {
    session.ask("plain", &CreateDelegationTokenRequest::default())?;
    let renewed = message!(CreateDelegationTokenRequest {
        renewers: vec![message!(CreatableRenewers {
            principal_type: text("Robot"),
            principal_name: text("r"),
        })],
    });
    session.ask("a renewer", &renewed)?;
    let owned = message!(CreateDelegationTokenRequest {
        owner_principal_type: Some(text("User")),
        owner_principal_name: Some(text("o")),
    });
    session.ask("an owner", &owned)
}

fn describe_users(session: &mut Session) -> Result<(), Stopped> {
    let ask = |session: &mut Session, label: &str, names: Option<&[&str]>| {
        let user = |name: &&str| message!(UserName { name: text(name) });
        let request = message!(DescribeUserScramCredentialsRequest {
            users: names.map(|names| names.iter().map(user).collect()),
        });
        session.ask(label, &request)
    };
    ask(session, "all", None)?;
    ask(session, "none", Some(&[]))?;
    ask(session, "unknown", Some(&["u", "w"]))?;
    ask(session, "the same twice", Some(&["u", "w", "u"]))?;
    ask(session, "an empty name", Some(&[""]))
}

fn alter_users(session: &mut Session) -> Result<(), Stopped> {
    let name = session.name("u");
    let deletion = |mechanism: i8| {
        message!(ScramCredentialDeletion {
            name: name.clone(),
            mechanism: mechanism,
        })
    };
    let upsertion = |name: &str, mechanism: i8, iterations: i32| {
        message!(ScramCredentialUpsertion {
            name: text(name),
            mechanism: mechanism,
            iterations: iterations,
            salt: bytes::Bytes::from_static(b"salt"),
            salted_password: bytes::Bytes::from_static(b"password"),
        })
    };
    let ask = |session: &mut Session, label: &str, deletions, upsertions| {
        let request = message!(AlterUserScramCredentialsRequest {
            deletions: deletions,
            upsertions: upsertions,
        });
        session.ask(label, &request)
    };
    ask(session, "none", vec![], vec![])?;
    ask(session, "delete unknown", vec![deletion(1)], vec![])?;
    ask(session, "delete mechanism 9", vec![deletion(9)], vec![])?;
    let upsert = |number, iterations| vec![upsertion(&name, number, iterations)];
    ask(session, "mechanism 0", vec![], upsert(0, 4096))?;
    ask(session, "few iterations", vec![], upsert(1, 10))?;
    ask(session, "many iterations", vec![], upsert(1, 100_000))?;
    let nameless = vec![upsertion("", 1, 4096)];
    ask(session, "an empty name", vec![], nameless)?;
    ask(
        session,
        "delete and upsert",
        vec![deletion(1)],
        upsert(1, 4096),
    )?;
    ask(session, "upsert", vec![], upsert(1, 4096))?;
    session.sync()?;
    alter_one_user(session, &name)
}

/// A user that is there already, changed in every way.
fn alter_one_user(session: &mut Session, name: &StrBytes) -> Result<(), Stopped> {
    let deletion = |mechanism: i8| {
        message!(ScramCredentialDeletion {
            name: name.clone(),
            mechanism: mechanism,
        })
    };
    let upsert = |mechanism: i8, iterations: i32| {
        vec![message!(ScramCredentialUpsertion {
            name: name.clone(),
            mechanism: mechanism,
            iterations: iterations,
            salt: bytes::Bytes::from_static(b"salt"),
            salted_password: bytes::Bytes::from_static(b"password"),
        })]
    };
    let ask = |session: &mut Session, label: &str, deletions, upsertions| {
        let request = message!(AlterUserScramCredentialsRequest {
            deletions: deletions,
            upsertions: upsertions,
        });
        session.ask(label, &request)
    };
    let describe = |session: &mut Session, label: &str| {
        let user = message!(UserName { name: name.clone() });
        let request = message!(DescribeUserScramCredentialsRequest {
            users: Some(vec![user]),
        });
        session.ask_at(label, 0, &request, &[])
    };
    describe(session, "one mechanism")?;
    ask(session, "upsert again", vec![], upsert(1, 8192))?;
    ask(session, "upsert the other", vec![], upsert(2, 16_384))?;
    session.sync()?;
    describe(session, "both mechanisms")?;
    let twice = [upsert(1, 4096), upsert(1, 4097)].concat();
    ask(session, "upsert twice", vec![], twice)?;
    ask(
        session,
        "delete and upsert the same",
        vec![deletion(1)],
        upsert(1, 4096),
    )?;
    ask(
        session,
        "delete twice",
        vec![deletion(1), deletion(1)],
        vec![],
    )?;
    let good_and_bad = [upsert(1, 4096), upsert(2, 1)].concat();
    ask(session, "a good and a bad one", vec![], good_and_bad)?;
    session.sync()?;
    describe(session, "nothing changed")?;
    ask(session, "swap", vec![deletion(1)], upsert(2, 5000))?;
    session.sync()?;
    describe(session, "swapped")?;
    ask(session, "delete", vec![deletion(2)], vec![])?;
    session.sync()?;
    describe(session, "deleted")?;
    ask(session, "delete the other", vec![deletion(1)], vec![])
}

/// The second of each is asked on the same connection: it goes on.
fn shake_hands(session: &mut Session) -> Result<(), Stopped> {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "no such", ""] {
        let request = message!(SaslHandshakeRequest {
            mechanism: text(mechanism),
        });
        session.ask(&format!("mechanism {mechanism:?}"), &request)?;
    }
    Ok(())
}

fn authenticate(session: &mut Session) -> Result<(), Stopped> {
    session.ask("nothing", &SaslAuthenticateRequest::default())?;
    let request = message!(SaslAuthenticateRequest {
        auth_bytes: bytes::Bytes::from_static(b"\0user\0secret"),
    });
    session.ask("credentials", &request)
}
