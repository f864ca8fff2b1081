#include "signals.hpp"

#include <csignal>
#include <ctime>

namespace millrace::tools {

namespace {

sigset_t stop_set() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

}  // namespace

StopSignals::StopSignals() {
    const sigset_t set = stop_set();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

bool StopSignals::stopped() {
    if (stopped_) return true;
    const sigset_t set = stop_set();
    const timespec at_once{0, 0};
    if (sigtimedwait(&set, nullptr, &at_once) < 0) return false;
    stopped_ = true;
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    return true;
}

}  // namespace millrace::tools
