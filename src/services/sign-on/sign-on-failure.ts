/**
 * Somebody cannot sign on, and is told so on a page. `code` is for those who look into it and has Synapse's values, which
 * operators' templates know; the message is for people.
 */
export class SignOnFailure extends Error {
  readonly code: string
  readonly status: number

  constructor(code: string, message: string, status = 400) {
    super(message)
    this.name = 'SignOnFailure'
    this.code = code
    this.status = status
  }
}

/** What a browser comes back with belongs to nothing that it has begun, or not any more. */
export function badSession(): SignOnFailure {
  return new SignOnFailure(
    'bad_session',
    'This sign-on was begun in another browser, has been used already, or has taken too long. Please begin again.',
  )
}
