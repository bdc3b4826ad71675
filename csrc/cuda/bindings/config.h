// The settings of konv.config, which live in konv._core, and the device that problems are made for.
#pragma once

namespace konv::cuda {

// For this thread's next problems.
void set_problem_device(int device);

}  // namespace konv::cuda
