import type { StreamToken } from '../../protocol/stream-token.js'
import type { StreamName } from '../../storage/streams/stream-names.js'

/** A stream as readers see it. */
export interface PositionSource {
  /** Everything at or below this can be read. */
  position(): number
}

/** Where all streams are now. */
export class StreamPositions {
  readonly #sources: Readonly<Record<StreamName, PositionSource>>

  constructor(sources: Readonly<Record<StreamName, PositionSource>>) {
    this.#sources = sources
  }

  /** What can be read when this is called: sample it before reading, so that it never promises too much. */
  current(): StreamToken {
    const sources = this.#sources
    return {
      events: sources.events.position(),
      receipts: sources.receipts.position(),
      accountData: sources.account_data.position(),
      presence: sources.presence.position(),
      typing: sources.typing.position(),
      toDevice: sources.to_device.position(),
      deviceLists: sources.device_lists.position(),
      pushRules: sources.push_rules.position(),
    }
  }
}
