/** Why nothing is carried from a database to another: what somebody has to do something about first. */
export class PortRefusal extends Error {
  override readonly name = 'PortRefusal'
}
