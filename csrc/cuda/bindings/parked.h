// Arrays of other libraries that kernels may still read when nobody holds them any more: they are held until then.
#pragma once
#include <memory>
#include <vector>

#include "cuda/runtime.h"

namespace konv::cuda {

// Lets go of an owner when all that these streams of a device have been asked is done.
void let_go_after(int device, const std::vector<void*>& streams, std::shared_ptr<void> owner) noexcept;
// Lets go of those whose streams have come so far. Every call of the module does; cheap where there is none.
void let_go_of_passed() noexcept;
int parked_owners();

}  // namespace konv::cuda
