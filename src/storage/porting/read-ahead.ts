/** The same values, each asked for before the one in front of it has been dealt with. */
export async function* readAhead<T>(values: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  const iterator = values[Symbol.asyncIterator]()
  try {
    let next = ask(iterator)
    for (;;) {
      const result = await next
      if (result.done === true) return
      next = ask(iterator)
      yield result.value
    }
  } finally {
    await iterator.return?.()
  }
}

/** An error is raised when somebody takes the value, and not before. */
function ask<T>(iterator: AsyncIterator<T>): Promise<IteratorResult<T>> {
  const next = iterator.next()
  next.catch(() => undefined)
  return next
}
