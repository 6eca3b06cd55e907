import { Event, type PduJson } from '../../src/protocol/event.js'
import { essentialText, eventIdOf } from '../../src/protocol/hashes.js'
import type { EventId, RoomId } from '../../src/protocol/ids.js'
import { getRoomVersionRules, type RoomVersionRules } from '../../src/protocol/room-versions.js'
import { withSignature, type JsonSigner } from '../../src/protocol/signed-json.js'

export function rulesOf(version: string): RoomVersionRules {
  const rules = getRoomVersionRules(version)
  if (rules === undefined) throw new Error(`There is no room version ${version}`)
  return rules
}

/** An event of a room version with the signatures of these servers: for what looks at signatures only. */
export function signedEvent(
  version: string,
  json: Partial<PduJson> & { readonly sender: string },
  signers: readonly JsonSigner[],
): Event {
  const rules = rulesOf(version)
  const pdu: PduJson = {
    type: 'm.room.message',
    room_id: '!room:a.test',
    content: {},
    origin_server_ts: 1_700_000_000_000,
    depth: 1,
    prev_events: [],
    auth_events: [],
    hashes: { sha256: 'x' },
    signatures: {},
    ...json,
  }
  for (const signer of signers) {
    pdu.signatures = withSignature(pdu.signatures, signer, signer.sign(essentialText(rules, pdu)))
  }
  const eventId = eventIdOf(rules, pdu) ?? ('$none:a.test' as EventId)
  return new Event(rules, pdu, { eventId, roomId: '!room:a.test' as RoomId })
}
