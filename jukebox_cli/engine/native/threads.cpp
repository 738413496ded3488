#include "threads.h"

namespace jukebox {

ThreadPool::ThreadPool(int num_threads) {
  for (int i = 1; i < num_threads; i++) helpers_.emplace_back([this] { help(); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& helper : helpers_) helper.join();
}

void ThreadPool::run(const Task& task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    task_ = task;
    next_.store(0, std::memory_order_relaxed);
    generation_++;
  }
  wake_.notify_all();
  work(task);
  // A helper that has not woken by now finds nothing to claim, so only those at work are awaited.
  std::unique_lock<std::mutex> lock(mutex_);
  task_.count = 0;
  done_.wait(lock, [this] { return working_ == 0; });
}

void ThreadPool::help() {
  long seen = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
    if (stop_) return;
    seen = generation_;
    if (task_.count == 0) continue;
    Task task = task_;
    working_++;
    lock.unlock();
    work(task);
    lock.lock();
    if (--working_ == 0) done_.notify_one();
  }
}

void ThreadPool::work(const Task& task) {
  for (int i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < task.count;) {
    task.run(task.context, i);
  }
}

}  // namespace jukebox
