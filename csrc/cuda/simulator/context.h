// Switching between stacks: the registers that a call keeps, on x86-64 and AArch64.
#pragma once
#include <cstdint>

// Puts the caller's registers on its stack, its stack pointer into *from, and goes on where `to` was left.
extern "C" void konv_switch_context(void** from, void* to);

namespace konv::simulator {

// A stack pointer that begins `entry`, which must not return, on the given stack.
void* new_context(char* stack, int64_t bytes, void (*entry)());

}  // namespace konv::simulator
