//! Finished spans to their destinations: bounded queue, batches, one worker thread, counters
