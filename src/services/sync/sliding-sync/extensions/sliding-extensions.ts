import type { JsonObject } from '../../../../util/json.js'
import type { ExtensionRequests } from '../sliding-request.js'
import type { AccountDataExtension } from './account-data.js'
import type { Extension, ExtensionFrame, ExtensionResult } from './extension.js'
import type { ReceiptsExtension } from './receipts.js'

interface Parts {
  /** By name, those that this server has. */
  readonly byName: ReadonlyMap<string, Extension>
  /** Those that have to keep count of rooms even where the client does not ask for them. */
  readonly accountData: AccountDataExtension
  readonly receipts: ReceiptsExtension
}

/** The extensions of sliding sync, by the names that requests and answers have for them. */
export class SlidingExtensions {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The parts of all extensions that are asked for and known. */
  async load(frame: ExtensionFrame, requests: ExtensionRequests): Promise<ExtensionResult> {
    const { byName, accountData, receipts } = this.#parts
    const results = await Promise.all(
      [...requests].map(
        async ([name, settings]) => [name, await byName.get(name)?.load(frame, settings)] as const,
      ),
    )
    if (!requests.has('account_data')) await accountData.noteMissed(frame, undefined)
    if (!requests.has('receipts')) await receipts.noteMissed(frame, undefined)
    const json: JsonObject = {}
    for (const [name, result] of results) if (result !== undefined) json[name] = result.json
    return { json, hasNews: results.some(([, result]) => result?.hasNews === true) }
  }
}
