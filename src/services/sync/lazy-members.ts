import { LRUCache } from 'lru-cache'
import type { SyncViewer } from './sync-request.js'
import { upTo } from '../../util/lru-bounds.js'

export interface LazyMembersOptions {
  /** Memberships that are remembered, of all devices together. */
  readonly max: number
}

interface Answer {
  readonly id: number
  /** The position of the events stream in the answer's token. */
  readonly position: number
}

interface DeviceMemory {
  /** What was sent with earlier answers does not count. */
  firstAnswer: number
  /** Answers with whose token the device has not come back yet. */
  readonly pending: Answer[]
  /** Answers that the device did not go on from: they were lost. */
  readonly lost: Set<number>
}

/** A device that loses more answers than this begins anew. */
const MAX_LOST = 20

/**
 * Which members a device has been sent, so that lazily loaded ones are not sent again and again. What was sent counts
 * once the device goes on from that answer: one that is lost on the way is no loss.
 * https://spec.matrix.org/latest/client-server-api/#lazy-loading-room-members
 */
export class LazyMembers {
  /** By device, room and user: the answer it was sent with. */
  readonly #sent: LRUCache<string, number>
  readonly #devices: LRUCache<string, DeviceMemory>
  #lastAnswer = 0

  constructor(options: LazyMembersOptions = { max: 200_000 }) {
    this.#sent = new LRUCache(upTo(options.max))
    this.#devices = new LRUCache(upTo(Math.max(1, Math.ceil(options.max / 10))))
  }

  /**
   * How the device stands that comes with a token of position `since` (undefined: none) and is to be answered with
   * `now`.
   */
  begin(viewer: SyncViewer, since: number | undefined, now: number): LazyMemberSession {
    const deviceKey = `${viewer.userId} ${viewer.deviceId ?? ''}`
    const known = since === undefined ? undefined : this.#devices.get(deviceKey)
    const device = known ?? { firstAnswer: this.#lastAnswer + 1, pending: [], lost: new Set<number>() }
    if (known === undefined) this.#devices.set(deviceKey, device)
    settle(device, since ?? 0)
    if (device.lost.size > MAX_LOST) {
      device.firstAnswer = this.#lastAnswer + 1
      device.lost.clear()
    }
    return new LazyMemberSession(device, {
      get: (member) => this.#sent.get(`${deviceKey} ${member}`),
      set: (member, answer) => this.#sent.set(`${deviceKey} ${member}`, answer),
      newAnswer: () => {
        const answer = { id: ++this.#lastAnswer, position: now }
        device.pending.push(answer)
        return answer.id
      },
    })
  }
}

/** The device has come back with a token: answers up to there have arrived, later ones have not. */
function settle(device: DeviceMemory, position: number): void {
  for (const answer of device.pending.splice(0)) {
    if (answer.position > position) device.lost.add(answer.id)
  }
}

interface Memory {
  get(member: string): number | undefined
  set(member: string, answer: number): void
  newAnswer(): number
}

/** What one answer to a device may leave out, and what it sends. */
export class LazyMemberSession {
  readonly #device: DeviceMemory
  readonly #memory: Memory
  #answer: number | undefined

  constructor(device: DeviceMemory, memory: Memory) {
    this.#device = device
    this.#memory = memory
  }

  /** Whether the device has been sent a member of a room, and has got it. */
  has(roomNid: number, userId: string): boolean {
    const answer = this.#memory.get(`${roomNid} ${userId}`)
    if (answer === undefined || answer < this.#device.firstAnswer || this.#device.lost.has(answer))
      return false
    return answer === this.#answer || !this.#device.pending.some(({ id }) => id === answer)
  }

  /** The member is sent with this answer. */
  add(roomNid: number, userId: string): void {
    if (this.has(roomNid, userId)) return
    this.#answer ??= this.#memory.newAnswer()
    this.#memory.set(`${roomNid} ${userId}`, this.#answer)
  }
}
