// What the programs of this folder have in common: each holds the kernels of one extension, at every level that this CPU, real or
// emulated, can run, against plain loops. No Python: they are cross-compiled, and built with sanitizers.
//
//   PROGRAM [NAME...]    the levels that must be available, and no others
#pragma once

#include <cstdio>
#include <string>
#include <vector>

// Runs wrong(name), which counts wrong results, for every level; returns what main() returns.
template <class Wrong>
int check_levels(const char *what, const std::vector<std::string> &found, int argc, char **argv, const Wrong &wrong) {
  if (argc > 1 && found != std::vector<std::string>(argv + 1, argv + argc)) {
    std::printf("%s: other levels than expected:", what);
    for (const std::string &name : found) std::printf(" %s", name.c_str());
    std::printf("\n");
    return 1;
  }
  size_t total = 0;
  for (const std::string &name : found) {
    const size_t here = wrong(name);
    std::printf("%s, %s: %zu wrong results\n", what, name.c_str(), here);
    total += here;
  }
  return total != 0;
}
