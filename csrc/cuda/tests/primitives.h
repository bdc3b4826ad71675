// A kernel for each part of device.h, against plain loops.
#pragma once
#include <string>
#include <vector>

namespace konv::cuda {

std::vector<std::string> primitives();
// Empty, or what is wrong.
std::string check_primitive(const std::string& name);

}  // namespace konv::cuda
