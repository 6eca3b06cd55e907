import { LRUCache } from 'lru-cache'
import type { Database } from '../../storage/database.js'
import type { ServerMembersStore } from '../../storage/stores/server-members.js'
import { parseVerifyKey, verifySignature, type Ed25519VerifyKey } from '../../protocol/ed25519.js'
import { ERRCODES, forbidden, MatrixError, type Errcode } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import { signedText } from '../../protocol/hashes.js'
import { parseServerName, type ServerName } from '../../protocol/ids.js'
import { pduJson, signEvent } from '../../protocol/pdu.js'
import { signaturesOf } from '../../protocol/signed-json.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import { isJsonObject } from '../../util/json.js'
import { upTo } from '../../util/lru-bounds.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { EventAssembler } from './event-assembler.js'
import type { RoomHead } from './room-heads.js'

/** The server that a room asks what may be said in it. */
interface PolicyServer {
  readonly via: ServerName
  readonly key: Ed25519VerifyKey
}

interface Parts {
  readonly assembler: EventAssembler
  readonly serverMembers: ServerMembersStore
  readonly client: Pick<FederationClient, 'request' | 'isStopping'>
  readonly serverName: ServerName
}

const POLICY_KEY = stateKeyOf('m.room.policy', '')
const KEY_ID = 'ed25519:policy_server'
const TIMEOUT_MS = 10_000

/**
 * Rooms' policy servers: their signatures say that an event should be in the room.
 * https://spec.matrix.org/latest/server-server-api/#policy-servers
 */
export class EventPolicy {
  readonly #db: Database
  readonly #parts: Parts
  /** Snapshots that name no policy server. Those that do are looked at each time: what names it may be redacted. */
  readonly #without = new LRUCache<number, true>(upTo(20_000))

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The event with the signature of the room's policy server, which is asked for one where there is none that is good;
   * the event as it is where the room has no such server. Throws what that server answers where it refuses, and 403
   * `M_FORBIDDEN` where it cannot be asked.
   */
  async approve(head: RoomHead, event: Event): Promise<Event> {
    const policy = await this.#find(head)
    if (!policy || (event.type === 'm.room.policy' && event.stateKey === '')) return event
    if (isSigned(event, policy)) return event
    const { via } = policy
    if (!(await this.#parts.serverMembers.isInRoom(this.#db.reader, head.room.roomNid, via))) return event
    const signed = await this.#ask(event, via)
    if (signed && isSigned(signed, policy)) return signed
    throw forbidden('The policy server of the room has not signed the event')
  }

  async #find({ state: { nid, snapshot }, pending }: RoomHead): Promise<PolicyServer | null> {
    if (this.#without.has(nid)) return null
    const found = await this.#parts.assembler.lookUp({ snapshot, pending }, [POLICY_KEY])
    const named = found.get(POLICY_KEY)
    const policy = named ? parsePolicy(named.event) : null
    // A server that is its own policy server needs nobody's signature but its own.
    const foreign = policy?.via === this.#parts.serverName ? null : policy
    if (foreign === null) this.#without.set(nid, true)
    return foreign
  }

  /** https://spec.matrix.org/latest/server-server-api/#post_matrixpolicyv1sign */
  async #ask(event: Event, via: ServerName): Promise<Event | undefined> {
    try {
      const answer = await this.#parts.client.request({
        destination: via,
        method: 'POST',
        path: '/_matrix/policy/v1/sign',
        body: pduJson(event),
        timeoutMs: TIMEOUT_MS,
      })
      const signature = signaturesOf({ signatures: answer }, via).get(KEY_ID)
      if (signature === undefined) return undefined
      return signEvent(event, { serverName: via, keyId: KEY_ID, sign: () => signature })
    } catch (error) {
      // Where this server has not waited for the answer, nothing is said against the event.
      if (error instanceof FederationError && !this.#parts.client.isStopping) throw toRefusal(error)
      throw error
    }
  }
}

/** Null for what names no policy server. */
function parsePolicy({ content }: Event): PolicyServer | null {
  const { via, public_keys: keys } = content
  if (typeof via !== 'string' || !isJsonObject(keys)) return null
  const server = parseServerName(via)
  const { ed25519 } = keys
  const key = typeof ed25519 === 'string' ? parseVerifyKey(ed25519) : undefined
  return server !== undefined && key !== undefined ? { via: server, key } : null
}

function isSigned(event: Event, { via, key }: PolicyServer): boolean {
  const signature = signaturesOf(event.json, via).get(KEY_ID)
  return signature !== undefined && verifySignature(key, signedText(event), signature)
}

/** What the policy server has answered, for whoever wanted to send the event. */
function toRefusal({ errcode, status, body }: FederationError): MatrixError {
  const message =
    typeof body?.['error'] === 'string' ? body['error'] : 'The policy server of the room cannot be asked'
  if (errcode === undefined || !Object.hasOwn(ERRCODES, errcode)) return forbidden(message)
  return new MatrixError(errcode as Errcode, message, { status: status ?? 403 })
}
