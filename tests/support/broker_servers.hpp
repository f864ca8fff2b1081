// The real servers of all brokers that this build has an edge for.
#pragma once

#ifdef MILLRACE_HAS_KAFKA
#include "tests/support/kafka_server.hpp"
#endif
#ifdef MILLRACE_HAS_REDIS
#include "tests/support/redis_server.hpp"
#endif
#ifdef MILLRACE_HAS_RABBITMQ
#include "tests/support/rabbit_server.hpp"
#endif
