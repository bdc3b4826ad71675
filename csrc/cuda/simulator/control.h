// What tests ask of the simulated runtime.
#pragma once
#include <cstdint>
#include <string>

namespace konv::simulator {

struct Settings {
  int devices = 2;
  // "allocate", "copy", "launch" or none: fails after so many calls. Memory stays short, the others fail once.
  std::string failing_call;
  int64_t calls_before_failure = 0;
  bool unfinished = false;  // events pass when somebody has waited for their stream
  bool waits = false;       // waits for a device go on until the settings change, ten seconds at most
};
void set(const Settings& settings);
int waiting();  // threads that wait for a device

}  // namespace konv::simulator
