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
    // What is ignored and held back would come all the same.
    struct sigaction hang_up {};
    sigaction(SIGHUP, nullptr, &hang_up);
    if (hang_up.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
    return set;
}

}  // namespace

StopSignals::StopSignals() {
    const sigset_t set = stop_set();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

bool StopSignals::stopped() {
    if (signal_ != 0) return true;
    const sigset_t set = stop_set();
    const timespec at_once{0, 0};
    const int came = sigtimedwait(&set, nullptr, &at_once);
    if (came < 0) return false;
    signal_ = came;
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    return true;
}

}  // namespace millrace::tools
