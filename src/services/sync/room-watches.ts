import type { RoomId } from '../../protocol/ids.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { Clock, Timer } from '../../util/clock.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'

/** Something may have happened in the room; unless the watch is closed it goes on. */
export interface RoomWatch {
  /** True when there was something since the last time, or comes in time; false after the time or when `signal` aborts. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<boolean>
  close(): void
}

/** Presence is of people, not of rooms: it wakes everybody, so not more often than this. */
const PRESENCE_DELAY_MS = 1_000

/** Wakes those who look into one room from outside, whom the notifier of members does not know. */
export class RoomWatches implements PositionSink {
  readonly #clock: Clock
  readonly #byRoom = new Map<RoomId, Set<() => void>>()
  #presenceTimer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** To be closed. Look at the room after this: what comes later than that wakes the watch. */
  open(roomId: RoomId): RoomWatch {
    let isWoken = false
    let settle: ((woken: boolean) => void) | undefined
    const wake = (): void => {
      isWoken = true
      settle?.(true)
    }
    const watches = this.#byRoom.get(roomId) ?? new Set()
    this.#byRoom.set(roomId, watches.add(wake))
    return {
      wait: async (timeoutMs, signal) => {
        if (signal.aborted || (timeoutMs <= 0 && !isWoken)) return false
        const wasWoken = isWoken || (await this.#sleep(timeoutMs, signal, (resolve) => (settle = resolve)))
        settle = undefined
        isWoken = false
        return wasWoken
      },
      close: () => {
        watches.delete(wake)
        if (watches.size === 0) this.#byRoom.delete(roomId)
        if (this.#byRoom.size === 0) this.#stopPresence()
      },
    }
  }

  onNewPosition(stream: StreamName, { rooms = [] }: PositionHints): void {
    for (const roomId of rooms) for (const wake of this.#byRoom.get(roomId) ?? []) wake()
    if (stream !== 'presence' || this.#byRoom.size === 0) return
    this.#presenceTimer ??= this.#clock.setTimeout(() => {
      this.#stopPresence()
      for (const watches of this.#byRoom.values()) for (const wake of watches) wake()
    }, PRESENCE_DELAY_MS)
  }

  #stopPresence(): void {
    this.#presenceTimer?.cancel()
    this.#presenceTimer = undefined
  }

  #sleep(
    timeoutMs: number,
    signal: AbortSignal,
    begin: (resolve: (woken: boolean) => void) => void,
  ): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (woken: boolean): void => {
        timer.cancel()
        signal.removeEventListener('abort', onAbort)
        resolve(woken)
      }
      const onAbort = (): void => {
        end(false)
      }
      const timer = this.#clock.setTimeout(() => {
        end(false)
      }, timeoutMs)
      signal.addEventListener('abort', onAbort, { once: true })
      begin(end)
    })
  }
}
