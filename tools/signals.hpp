// SIGINT and SIGTERM as a question that is asked now and then, so that work ends with its report.
#pragma once

namespace millrace::tools {

class StopSignals {
  public:
    // Holds both signals back, in this thread and in those it starts from now on.
    StopSignals();

    // True once either has come. From then on a further one ends the process at once.
    [[nodiscard]] bool stopped();

  private:
    bool stopped_ = false;
};

}  // namespace millrace::tools
