import { signBytes } from './ed25519.js'
import type { ServerName } from './ids.js'
import type { JsonSigner } from './signed-json.js'
import type { SigningKey } from './signing-keys.js'

/** Signs in the name of a server, with a key that may be replaced while the server runs. */
export class RotatingSigner implements JsonSigner {
  readonly serverName: ServerName
  #key: SigningKey

  constructor(serverName: ServerName, key: SigningKey) {
    this.serverName = serverName
    this.#key = key
  }

  /** Of the key that signs now: to be asked for in the same turn as the signature that it names. */
  get keyId(): string {
    return this.#key.keyId
  }

  sign(message: Uint8Array | string): string {
    return signBytes(this.#key.key, message)
  }

  replace(key: SigningKey): void {
    this.#key = key
  }
}
