module ottla.test/librdkafka

go 1.22

require ottla.test/common v0.0.0

require github.com/confluentinc/confluent-kafka-go v1.9.2

replace ottla.test/common => ../common
