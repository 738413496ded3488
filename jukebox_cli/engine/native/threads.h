// Threads that share out the panels of large layers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace jukebox {

// A task: calls `run(context, i)` for every i below `count`.
struct Task {
  void (*run)(void* context, int i);
  void* context;
  int count;
};

// Runs tasks on the calling thread and on others that help. The parts of a task are claimed one by
// one, so a thread whose core is busy with something else takes fewer and holds up nobody; waiting
// threads sleep, they don't spin. Which thread computes a part does not change its result.
class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  int size() const { return static_cast<int>(helpers_.size()) + 1; }

  template <class F>
  void parallel_for(int count, F&& function) {
    if (helpers_.empty() || count < 2) {
      for (int i = 0; i < count; i++) function(i);
      return;
    }
    using Function = std::remove_reference_t<F>;
    run({[](void* context, int i) { (*static_cast<Function*>(context))(i); }, &function, count});
  }

 private:
  void run(const Task& task);
  void help();
  void work(const Task& task);

  std::vector<std::thread> helpers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Task task_{};
  long generation_ = 0;
  int working_ = 0;  // helpers that may still touch the task
  bool stop_ = false;
  std::atomic<int> next_{0};
};

}  // namespace jukebox
