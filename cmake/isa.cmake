# One object library for each ISA level: the same kernel sources under other flags and another namespace.
#
# Flags name features, not a CPU (-march= would also pick a tuning). These objects are never link-time optimised: LTO
# could merge code compiled for one level into another. Nothing unwinds through them: tables for that would be 1 % of
# the wheel. Adding a level is a row here and one in csrc/isa/isa.def.

add_library(konv_isa INTERFACE)
set(KONV_ISA_OBJECTS "")

function(konv_add_isa_object name level)
  set(object konv_isa_${name})
  add_library(${object} OBJECT csrc/isa/${level}.cpp)
  target_include_directories(${object} PRIVATE csrc)
  target_compile_options(${object} PRIVATE ${KONV_KERNEL_OPTIMIZATION} -ffp-contract=fast -fno-math-errno
                                           -fno-trapping-math -fno-exceptions -fno-rtti -fno-lto -Wno-psabi
                                           -fno-asynchronous-unwind-tables
                                           ${ARGN})
  target_link_libraries(konv_isa INTERFACE $<TARGET_OBJECTS:${object}>)
  set(KONV_ISA_OBJECTS ${KONV_ISA_OBJECTS} ${name}:${level}=$<TARGET_OBJECTS:${object}> PARENT_SCOPE)
endfunction()

# A level in parts, which compile side by side: kernels.inl.h. A part uses few of the functions that it sees.
function(konv_add_isa level)
  foreach(part f32 f64 others)
    konv_add_isa_object(${level}_${part} ${level} -DKONV_ISA_PART_${part} -Wno-unused-function ${ARGN})
  endforeach()
  set(KONV_ISA_OBJECTS ${KONV_ISA_OBJECTS} PARENT_SCOPE)
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  # What few machines run need not be as large as what all others do: a seventh of this level's code.
  set(small "")
  if(KONV_KERNEL_OPTIMIZATION STREQUAL "-O3")
    set(small -O2)
  endif()
  if(KONV_ISA_LOWEST LESS 1)
    konv_add_isa(generic ${small})
  endif()
  if(KONV_ISA_LOWEST LESS 2)
    konv_add_isa(avx2 -mavx2 -mfma -mf16c)
  endif()
  # Every CPU with AVX-512 can request lines for writing.
  set(avx512 -mprfchw -mavx512f -mavx512cd -mavx512vl -mavx512dq -mavx512bw -mfma -mf16c)
  konv_add_isa(avx512 ${avx512})
  konv_add_isa_object(avx512_bf16 avx512_bf16 ${avx512} -mavx512bf16)
  konv_add_isa_object(avx512_vnni avx512_vnni ${avx512} -mavx512vnni)
else()
  konv_add_isa(generic)
endif()

# After linking: each ISA object exports one symbol, and the baseline objects hold no AVX code.
function(konv_check_isa_objects target)
  if(UNIX AND NOT APPLE)
    find_program(KONV_NM nm)
    find_program(KONV_OBJDUMP objdump)
    if(KONV_NM AND KONV_OBJDUMP)
      add_custom_command(TARGET ${target} POST_BUILD
        COMMAND Python::Interpreter ${CMAKE_SOURCE_DIR}/cmake/check_isa_objects.py --nm ${KONV_NM} --objdump
                ${KONV_OBJDUMP} ${KONV_ISA_OBJECTS} --baseline $<TARGET_OBJECTS:${target}>
        COMMAND_EXPAND_LISTS VERBATIM)
    endif()
  endif()
endfunction()
