/** An expected failure: its message is all that somebody needs to know. The process ends with exit code 1. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
}

/** Something about how the command was called. The process ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
