/** A takeover cannot be made, as somebody at the terminal can do something about. */
export class TakeoverRefusal extends Error {
  override readonly name = 'TakeoverRefusal'
}
