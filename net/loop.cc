#include "net/loop.h"

#include <utility>

namespace baton {

Loop::Loop() : read_buffer_(std::make_unique<char[]>(read_size)) {
    if (const int rc = uv_loop_init(&loop_); rc < 0)
        die("cannot make an event loop", uv_strerror(rc));
    loop_.data = this;
    wake_ = open_handle<uv_async_t>(this, [&](uv_async_t& async) {
        return uv_async_init(&loop_, &async, [](uv_async_t* woken) {
            if (auto* loop = owner_of<Loop>(woken)) loop->run_tasks();
        });
    });
    prepare_ = open_handle<uv_prepare_t>(
        this, [&](uv_prepare_t& prepare) { return uv_prepare_init(&loop_, &prepare); });
    uv_prepare_start(prepare_.get(), [](uv_prepare_t* prepare) {
        if (auto* loop = owner_of<Loop>(prepare)) loop->begin_iteration();
    });
    uv_unref(reinterpret_cast<uv_handle_t*>(prepare_.get()));
    // The mailbox alone does not keep a loop alive; `run` ends when all else is gone.
    uv_ref(reinterpret_cast<uv_handle_t*>(wake_.get()));
}

Loop::~Loop() {
    wake_.reset();
    prepare_.reset();
    // Closing takes a turn or two; a handle that is still open after that was leaked by its owner.
    for (int turns = 0; uv_loop_close(&loop_) == UV_EBUSY; ++turns) {
        // What runs on another thread, a look-up of a name, ends by itself.
        const bool waits = loop_.active_reqs.count > 0;
        uv_run(&loop_, waits ? UV_RUN_ONCE : UV_RUN_NOWAIT);
        if (waits) turns = 0;
        if (turns > 1000) die("a handle was left open on an event loop");
    }
}

void Loop::post(std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    uv_async_send(wake_.get());
}

void Loop::run_tasks() {
    std::vector<std::function<void()>> tasks;
    {
        const std::lock_guard lock(mutex_);
        tasks.swap(tasks_);
    }
    for (auto& task : tasks) task();
}

}  // namespace baton
