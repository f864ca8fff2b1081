// SIGINT, SIGTERM and SIGHUP as a question that is asked now and then, so that work ends with its report.
#pragma once

namespace millrace::tools {

class StopSignals {
  public:
    // Holds them back, in this thread and in those it starts from now on; but for a SIGHUP that whoever started the
    // process has it ignore (nohup).
    StopSignals();

    // True once one has come. From then on a further one ends the process at once.
    [[nodiscard]] bool stopped();
    // The one that has come; 0 before.
    [[nodiscard]] int signal() const { return signal_; }

  private:
    int signal_ = 0;
};

}  // namespace millrace::tools
