// Process-wide defaults and a thread's overrides of them.
#pragma once
#include <cstdint>
#include <optional>

#include "core/problem.h"

namespace konv {

struct Config {
  int64_t isa;
  int64_t threads;
  int64_t max_workspace;  // bytes of scratch a thread beyond packed weights
  int64_t keep_denormals;
  int64_t autotune;  // table of conv/autotune.h, or 0
  Precision precision;
};

Config config();  // what holds for this thread now
void set_process_config(const Config&);
Config process_config();
std::optional<Config> thread_config();
void set_thread_config(std::optional<Config>);

}  // namespace konv
