#include "cuda/simulator/context.h"

#include <cstring>

#if defined(__x86_64__)

asm(R"(
.text
.globl konv_switch_context
.hidden konv_switch_context
.type konv_switch_context, @function
konv_switch_context:
  endbr64
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size konv_switch_context, .-konv_switch_context
)");

namespace konv::simulator {

void* new_context(char* stack, int64_t bytes, void (*entry)()) {
  char* const top = stack + bytes - 64;  // a multiple of 16
  void* frame[8] = {};                   // six registers, where to return to, and who entry's caller would be
  frame[6] = reinterpret_cast<void*>(entry);
  char* const at = top - sizeof frame;
  std::memcpy(at, frame, sizeof frame);
  return at;
}

}  // namespace konv::simulator

#elif defined(__aarch64__)

asm(R"(
.text
.globl konv_switch_context
.hidden konv_switch_context
.type konv_switch_context, %function
konv_switch_context:
  sub sp, sp, #176
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #176
  ret
.size konv_switch_context, .-konv_switch_context
)");

namespace konv::simulator {

void* new_context(char* stack, int64_t bytes, void (*entry)()) {
  void* frame[22] = {};
  frame[11] = reinterpret_cast<void*>(entry);  // x30, where to return to
  char* const at = stack + bytes - 64 - sizeof frame;
  std::memcpy(at, frame, sizeof frame);
  return at;
}

}  // namespace konv::simulator

#else
#  error "the simulator knows x86-64 and AArch64"
#endif
