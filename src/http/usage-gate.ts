import type { Requester } from '../services/accounts/requester.js'
import type { UsageLimits } from '../services/accounts/usage-limits.js'

/** What makes somebody a user of the server: following what happens, saying something, entering rooms. */
const COUNTED: ReadonlySet<string> = new Set([
  'sync',
  'unstableSlidingSync',
  'sendMessage',
  'setRoomStateWithKey',
  'createRoom',
  'joinRoom',
  'joinRoomById',
])

/** Throws `M_RESOURCE_LIMIT_EXCEEDED` for those for whom there is no place. Other requests are let through. */
export async function passUsageGate(
  limits: UsageLimits | undefined,
  operationId: string,
  requester: Requester | undefined,
): Promise<void> {
  if (limits === undefined) return
  if (operationId === 'register') await limits.checkNewcomer()
  else if (requester !== undefined && COUNTED.has(operationId)) await limits.check(requester)
}
