import type { PolicyConsents } from '../services/accounts/policy-consents.js'
import type { Requester } from '../services/accounts/requester.js'
import type { PolicyNotices } from '../services/journeys/policy-notices.js'
import type { ServerNotices } from '../services/journeys/server-notices.js'

export interface ConsentGate {
  readonly policyConsents: Pick<PolicyConsents, 'check'> | undefined
  readonly policyNotices: Pick<PolicyNotices, 'onSeen'> | undefined
  readonly serverNotices: Pick<ServerNotices, 'findRoom'>
}

/** Where somebody makes an event: leaving is free to everybody. */
const SPEAKING: ReadonlySet<string> = new Set([
  'sendMessage',
  'sendMessageWithoutTransaction',
  'setRoomStateWithKey',
  'redactEvent',
  'redactEventWithoutTransaction',
  'createRoom',
  'upgradeRoom',
  'inviteUser',
  'kick',
  'ban',
  'unban',
  'knockRoom',
])
/** The room in which the server asks them to agree may be entered. */
const JOINING: ReadonlySet<string> = new Set(['joinRoom', 'joinRoomById'])
const FOLLOWING: ReadonlySet<string> = new Set(['sync', 'unstableSlidingSync'])

/** Whether there is anything for the gate to do. */
export function asksForConsent({ policyConsents, policyNotices }: ConsentGate): boolean {
  return policyConsents !== undefined || policyNotices !== undefined
}

/**
 * Throws `M_CONSENT_NOT_GIVEN` to those who have to agree to the policy before they do that; tells those of the policy
 * who have not heard of it. Other requests are let through.
 */
export async function passConsentGate(
  { policyConsents, policyNotices, serverNotices }: ConsentGate,
  operationId: string,
  { requester, params }: { requester: Requester; params: Readonly<Record<string, string>> },
): Promise<void> {
  if (FOLLOWING.has(operationId)) policyNotices?.onSeen(requester)
  if (policyConsents === undefined || !(SPEAKING.has(operationId) || JOINING.has(operationId))) return
  try {
    await policyConsents.check(requester)
  } catch (error) {
    const room = JOINING.has(operationId) ? (params['roomIdOrAlias'] ?? params['roomId']) : undefined
    if (room === undefined || room !== (await serverNotices.findRoom(requester.userId))) throw error
  }
}
