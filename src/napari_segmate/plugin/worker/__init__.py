"""The worker thread: jobs, progress, answers, debounced calls."""
