//! Broker configurations of Kafka 4.3: TLS, SASL and authorization.
//!
//! Rows of [`Definition`] and nothing else; the meaning of the columns is told there.

use super::definition::{
    Default, Definition, Effect, Importance, Kind, Scope, Update, Valid, definitions,
};

/// The table, sorted by name.
pub(super) const SECURITY: &[Definition] = definitions! { Broker;
    "authorizer.class.name": String = "", Valid::Any, Low, ReadOnly, Later;
        "Authorizer by its Java name; StandardAuthorizer means the built-in one, empty means none."
    "connection.failed.authentication.delay.ms": Int = "100", Valid::AtLeast(0),
        Low, ReadOnly, Later;
        "Delay before a connection that failed to authenticate is closed."
    "connections.max.reauth.ms": Long = "0", Valid::Any, Medium, ReadOnly, Later;
        "Longest time a client may go without authenticating again; 0 sets no limit."
    "delegation.token.expiry.check.interval.ms": Long = "3600000", Valid::AtLeast(1),
        Low, ReadOnly, None;
        "How often expired delegation tokens are removed."
    "delegation.token.expiry.time.ms": Long = "86400000", Valid::AtLeast(1), Medium, ReadOnly, None;
        "Lifetime of a delegation token that is not renewed."
    "delegation.token.max.lifetime.ms": Long = "604800000", Valid::AtLeast(1),
        Medium, ReadOnly, None;
        "Longest lifetime of a delegation token with all its renewals."
    "delegation.token.secret.key": Password = null, Valid::Any, Medium, ReadOnly, None;
        "Secret that signs delegation tokens."
    "early.start.listeners": List = null, Valid::Any, High, ReadOnly, None;
        "Listeners that Kafka opens before authorization is ready."
    "principal.builder.class": Class =
        "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        Valid::Any, Medium, PerBroker, None;
        "Java class that names principals; Ottla loads no Java classes."
    "sasl.client.callback.handler.class": Class = null, Valid::Any, Medium, ReadOnly, None;
        "Java class of a SASL client; Ottla loads no Java classes."
    "sasl.enabled.mechanisms": List = "GSSAPI", Valid::Any, Medium, PerBroker, Later;
        "SASL mechanisms that clients may use."
    "sasl.jaas.config": Password = null, Valid::Any, Medium, PerBroker, Later;
        "Credentials of the SASL mechanisms, in JAAS form."
    "sasl.kerberos.kinit.cmd": String = "/usr/bin/kinit", Valid::Any, Medium, PerBroker, None;
        "Path of kinit; Ottla does not serve Kerberos."
    "sasl.kerberos.min.time.before.relogin": Long = "60000", Valid::Any, Medium, PerBroker, None;
        "Least time between Kerberos logins; Ottla does not serve Kerberos."
    "sasl.kerberos.principal.to.local.rules": List = "DEFAULT", Valid::Any, Medium, PerBroker, None;
        "Rules from Kerberos principals to names; Ottla does not serve Kerberos."
    "sasl.kerberos.service.name": String = null, Valid::Any, Medium, PerBroker, None;
        "Kerberos principal of the brokers; Ottla does not serve Kerberos."
    "sasl.kerberos.ticket.renew.jitter": Double = "0.05", Valid::Any, Medium, PerBroker, None;
        "Randomness of ticket renewal; Ottla does not serve Kerberos."
    "sasl.kerberos.ticket.renew.window.factor": Double = "0.8", Valid::Any, Medium, PerBroker, None;
        "When a ticket is renewed; Ottla does not serve Kerberos."
    "sasl.login.callback.handler.class": Class = null, Valid::Any, Medium, ReadOnly, None;
        "Java class of a SASL login; Ottla loads no Java classes."
    "sasl.login.class": Class = null, Valid::Any, Medium, ReadOnly, None;
        "Java class that logs in; Ottla loads no Java classes."
    "sasl.login.connect.timeout.ms": Int = null, Valid::Any, Low, ReadOnly, None;
        "Connect timeout of a login over HTTP."
    "sasl.login.read.timeout.ms": Int = null, Valid::Any, Low, ReadOnly, None;
        "Read timeout of a login over HTTP."
    "sasl.login.refresh.buffer.seconds": Short = "300", Valid::Any, Medium, PerBroker, None;
        "How long before its end a credential is renewed at the latest."
    "sasl.login.refresh.min.period.seconds": Short = "60", Valid::Any, Medium, PerBroker, None;
        "Least time between renewals of a credential."
    "sasl.login.refresh.window.factor": Double = "0.8", Valid::Any, Medium, PerBroker, None;
        "Part of a credential's life after which it is renewed."
    "sasl.login.refresh.window.jitter": Double = "0.05", Valid::Any, Medium, PerBroker, None;
        "Randomness of that part."
    "sasl.login.retry.backoff.max.ms": Long = "10000", Valid::Any, Low, ReadOnly, None;
        "Longest wait before a failed login is tried again."
    "sasl.login.retry.backoff.ms": Long = "100", Valid::Any, Low, ReadOnly, None;
        "First wait before a failed login is tried again."
    "sasl.mechanism.controller.protocol": String = "GSSAPI", Valid::Any, High, ReadOnly, Later;
        "SASL mechanism towards controllers."
    "sasl.mechanism.inter.broker.protocol": String = "GSSAPI", Valid::Any, Medium, PerBroker, Later;
        "SASL mechanism between brokers."
    "sasl.oauthbearer.assertion.algorithm": String = "RS256",
        Valid::OneOfIgnoringCase(&["ES256", "RS256"]),
        Medium, ReadOnly, None;
        "Signature of a client assertion for OAuth."
    "sasl.oauthbearer.assertion.claim.aud": String = null, Valid::Any, Medium, ReadOnly, None;
        "Audience claim of a client assertion for OAuth."
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int = "300", Valid::Between(0, 86400),
        Low, ReadOnly, None;
        "Lifetime of a client assertion for OAuth."
    "sasl.oauthbearer.assertion.claim.iss": String = null, Valid::Any, Medium, ReadOnly, None;
        "Issuer claim of a client assertion for OAuth."
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean = "false", Valid::Any,
        Medium, ReadOnly, None;
        "Whether a client assertion for OAuth has a unique id."
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int = "60", Valid::Between(0, 3600),
        Low, ReadOnly, None;
        "How far back a client assertion for OAuth is valid."
    "sasl.oauthbearer.assertion.claim.sub": String = null, Valid::Any, Medium, ReadOnly, None;
        "Subject claim of a client assertion for OAuth."
    "sasl.oauthbearer.assertion.file": String = null, Valid::Any, Medium, ReadOnly, None;
        "File with a ready client assertion for OAuth."
    "sasl.oauthbearer.assertion.private.key.file": String = null, Valid::Any,
        Medium, ReadOnly, None;
        "Key that signs client assertions for OAuth."
    "sasl.oauthbearer.assertion.private.key.passphrase": Password = null, Valid::Any,
        Medium, ReadOnly, None;
        "Passphrase of that key."
    "sasl.oauthbearer.assertion.template.file": String = null, Valid::Any, Medium, ReadOnly, None;
        "Template of a client assertion for OAuth."
    "sasl.oauthbearer.client.credentials.client.id": String = null, Valid::Any,
        Medium, ReadOnly, None;
        "Client id for OAuth."
    "sasl.oauthbearer.client.credentials.client.secret": Password = null, Valid::Any,
        Medium, ReadOnly, None;
        "Client secret for OAuth."
    "sasl.oauthbearer.clock.skew.seconds": Int = "30", Valid::Any, Low, ReadOnly, Later;
        "Tolerated difference of clocks when an OAuth token is checked."
    "sasl.oauthbearer.expected.audience": List = "", Valid::Any, High, ReadOnly, Later;
        "Audiences of which an OAuth token must name one."
    "sasl.oauthbearer.expected.issuer": String = null, Valid::Any, High, ReadOnly, Later;
        "Issuer that an OAuth token must name."
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long = "3600000", Valid::Any, Low, ReadOnly, Later;
        "How often the keys of the OAuth provider are fetched."
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long = "10000", Valid::Any,
        Low, ReadOnly, Later;
        "Longest wait before fetching those keys is tried again."
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long = "100", Valid::Any,
        Low, ReadOnly, Later;
        "First wait before fetching those keys is tried again."
    "sasl.oauthbearer.jwks.endpoint.url": String = null, Valid::Any, Medium, ReadOnly, Later;
        "Where the keys of the OAuth provider are."
    "sasl.oauthbearer.jwt.retriever.class": Class =
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
        Valid::Any, Medium, ReadOnly, None;
        "Java class that fetches tokens; Ottla loads no Java classes."
    "sasl.oauthbearer.jwt.validator.class": Class =
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
        Valid::Any, Medium, ReadOnly, None;
        "Java class that checks tokens; Ottla loads no Java classes."
    "sasl.oauthbearer.scope": String = null, Valid::Any, Medium, ReadOnly, None;
        "Scope asked for from the OAuth provider."
    "sasl.oauthbearer.scope.claim.name": String = "scope", Valid::Any, Low, ReadOnly, Later;
        "Claim that holds the scope of an OAuth token."
    "sasl.oauthbearer.sub.claim.name": String = "sub", Valid::Any, Low, ReadOnly, Later;
        "Claim that holds the subject of an OAuth token."
    "sasl.oauthbearer.token.endpoint.url": String = null, Valid::Any, Medium, ReadOnly, None;
        "Where OAuth tokens are issued."
    "sasl.server.callback.handler.class": Class = null, Valid::Any, Medium, ReadOnly, None;
        "Java class of a SASL server; Ottla loads no Java classes."
    "sasl.server.max.receive.size": Int = "524288", Valid::Any, Medium, ReadOnly, Later;
        "Largest frame of a client that has not yet authenticated."
    "security.inter.broker.protocol": String = "PLAINTEXT",
        Valid::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        Medium, ReadOnly, Later;
        "Security protocol between brokers where inter.broker.listener.name is not given."
    "security.providers": String = null, Valid::Any, Low, ReadOnly, None;
        "Java security providers; Ottla loads no Java classes."
    "ssl.allow.dn.changes": Boolean = "false", Valid::Any, Low, ReadOnly, None;
        "Whether a renewed certificate may have another name."
    "ssl.allow.san.changes": Boolean = "false", Valid::Any, Low, ReadOnly, None;
        "Whether a renewed certificate may have other alternative names."
    "ssl.cipher.suites": List = "", Valid::Any, Medium, PerBroker, Later;
        "Cipher suites that are allowed."
    "ssl.client.auth": String = "none", Valid::OneOf(&["required", "requested", "none"]),
        Medium, PerBroker, Later;
        "Whether clients must, may or need not show a certificate."
    "ssl.enabled.protocols": List = "TLSv1.2,TLSv1.3", Valid::Any, Medium, PerBroker, Later;
        "TLS versions that are allowed."
    "ssl.endpoint.identification.algorithm": String = "https", Valid::Any, Low, PerBroker, Later;
        "How a peer's host name is checked; empty does not check it."
    "ssl.engine.factory.class": Class = null, Valid::Any, Low, PerBroker, None;
        "Java class that makes TLS engines; Ottla loads no Java classes."
    "ssl.key.password": Password = null, Valid::Any, Medium, PerBroker, Later;
        "Password of the private key."
    "ssl.keymanager.algorithm": String = "SunX509", Valid::Any, Medium, PerBroker, None;
        "Key manager of the Java runtime."
    "ssl.keystore.certificate.chain": Password = null, Valid::Any, Medium, PerBroker, Later;
        "Certificate chain in PEM."
    "ssl.keystore.key": Password = null, Valid::Any, Medium, PerBroker, Later;
        "Private key in PEM."
    "ssl.keystore.location": String = null, Valid::Any, Medium, PerBroker, Later;
        "File with the certificate and its key."
    "ssl.keystore.password": Password = null, Valid::Any, Medium, PerBroker, Later;
        "Password of that file."
    "ssl.keystore.type": String = "JKS", Valid::Any, Medium, PerBroker, Later;
        "Format of that file; Ottla reads PEM."
    "ssl.principal.mapping.rules": String = "DEFAULT", Valid::Any, Low, ReadOnly, Later;
        "Rules from certificate names to principals."
    "ssl.protocol": String = "TLSv1.3", Valid::Any, Medium, PerBroker, None;
        "TLS version that the Java runtime's context is made for."
    "ssl.provider": String = null, Valid::Any, Medium, PerBroker, None;
        "Security provider of the Java runtime."
    "ssl.secure.random.implementation": String = null, Valid::Any, Low, PerBroker, None;
        "Random generator of the Java runtime."
    "ssl.trustmanager.algorithm": String = "PKIX", Valid::Any, Medium, PerBroker, None;
        "Trust manager of the Java runtime."
    "ssl.truststore.certificates": Password = null, Valid::Any, Medium, PerBroker, Later;
        "Trusted certificates in PEM."
    "ssl.truststore.location": String = null, Valid::Any, Medium, PerBroker, Later;
        "File with the trusted certificates."
    "ssl.truststore.password": Password = null, Valid::Any, Medium, PerBroker, Later;
        "Password of that file."
    "ssl.truststore.type": String = "JKS", Valid::Any, Medium, PerBroker, Later;
        "Format of that file; Ottla reads PEM."
};
