package smartcar

// MaxBatch bounds the entries of one batch.
const MaxBatch = maxBatch

// NotServed are the endpoints to read that no source has.
func NotServed() []string { return notServed[:] }

// NotDone are the commands.
func NotDone() []string { return notDone[:] }
