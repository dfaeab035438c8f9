// Two threads that write to one place without a lock: thread_sanitize.sh makes sure that this is reported.
#include <thread>

extern "C" int race() {
  int count = 0;
  std::thread other([&] { count++; });
  count++;
  other.join();
  return count;
}
