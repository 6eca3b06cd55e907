import {
  IdentityServerError,
  type Identifier,
  type IdentityAccess,
  type IdentityServerClient,
} from '../../net/clients/identity-server-client.js'
import { HttpFailure } from '../../net/http-failure.js'
import { invalidParam, MatrixError } from '../../protocol/errors.js'
import { parseServerName, type ServerName, type UserId } from '../../protocol/ids.js'
import type { JsonSigner } from '../../protocol/signed-json.js'
import { formatXMatrix, requestText } from '../../protocol/x-matrix.js'
import type { Database } from '../../storage/database.js'
import type { IdentityBinding, IdentityBindingsStore } from '../../storage/stores/identity-bindings.js'
import { identityFailure } from '../remote/identity-failure.js'

export interface IdentityBindingsDependencies {
  readonly db: Database
  readonly store: IdentityBindingsStore
  readonly client: Pick<IdentityServerClient, 'bind' | 'unbind'>
  readonly signer: JsonSigner
  readonly serverName: ServerName
}

/** `no-support`: the identity server does not want to, or nobody knows which one it would be. */
export type UnbindResult = 'success' | 'no-support'

/** More bindings than this of one user are not undone at once. */
const MAX_UNBOUND = 100

/**
 * What identity servers are told of whose identifiers are: at the wish of users, who choose the servers, and undone
 * when an identifier or an account goes.
 * https://spec.matrix.org/latest/client-server-api/#adding-account-administrative-contact-information
 */
export class IdentityBindings {
  readonly #deps: IdentityBindingsDependencies

  constructor(deps: IdentityBindingsDependencies) {
    this.#deps = deps
  }

  /**
   * Has the identity server publish that what has been proven there in a session is the user's. Throws `M_INVALID_PARAM`
   * for what is no server's name, and what `identityFailure` makes of the server's refusals.
   */
  async bind(
    userId: UserId,
    access: IdentityAccess,
    session: { sid: string; clientSecret: string },
  ): Promise<void> {
    const { db, store, client } = this.#deps
    const idServer = parseIdentityServer(access.server)
    try {
      const identifier = await client.bind({ ...access, server: idServer }, { ...session, userId })
      await db.write('bind_threepid', (tx) => store.insert(tx, userId, { ...identifier, idServer }))
    } catch (error) {
      throw identityFailure(error)
    }
  }

  /**
   * Has one identity server forget whose an identifier is, or all that are known to know it. Throws as `bind`.
   */
  async unbind(
    userId: UserId,
    { medium, address }: Identifier,
    idServer: string | undefined,
  ): Promise<UnbindResult> {
    const identifier = { medium, address: medium === 'email' ? address.toLowerCase() : address }
    const servers = idServer === undefined ? await this.#serversOf(userId, identifier) : [idServer]
    const bindings = servers.map((server) => ({ ...identifier, idServer: parseIdentityServer(server) }))
    if (bindings.length === 0) return 'no-support'
    try {
      const results = await Promise.all(bindings.map((binding) => this.#undo(userId, binding)))
      return results.every((result) => result === 'success') ? 'success' : 'no-support'
    } catch (error) {
      throw identityFailure(error)
    }
  }

  /** The same for an identifier that is gone here already: servers that cannot be asked count as unwilling. */
  async tryUnbind(
    userId: UserId,
    identifier: Identifier,
    idServer: string | undefined,
  ): Promise<UnbindResult> {
    try {
      return await this.unbind(userId, identifier, idServer)
    } catch (error) {
      if (error instanceof MatrixError) return 'no-support'
      throw error
    }
  }

  /** The same for all identifiers of somebody who goes; servers that cannot be asked count as unwilling. */
  async unbindAll(userId: UserId, idServer: string | undefined): Promise<UnbindResult> {
    const { db, store } = this.#deps
    const known = await store.list(db.reader, userId)
    const outcomes = await Promise.allSettled(
      known
        .filter((binding) => idServer === undefined || binding.idServer === idServer)
        .slice(0, MAX_UNBOUND)
        .map((binding) => this.#undo(userId, binding)),
    )
    for (const outcome of outcomes) if (outcome.status === 'rejected') rethrowUnexpected(outcome.reason)
    const all = outcomes.every((outcome) => outcome.status === 'fulfilled' && outcome.value === 'success')
    return all ? 'success' : 'no-support'
  }

  async #undo(userId: UserId, binding: IdentityBinding): Promise<UnbindResult> {
    const { db, store, client, signer, serverName: origin } = this.#deps
    const { medium, address, idServer } = binding
    try {
      await client.unbind(idServer, { userId, identifier: { medium, address } }, (request) => {
        const signature = signer.sign(requestText({ ...request, origin, destination: idServer }))
        return formatXMatrix({ origin, destination: idServer, keyId: signer.keyId, signature })
      })
    } catch (error) {
      if (error instanceof IdentityServerError && isUnwilling(error)) return 'no-support'
      throw error
    }
    await db.write('unbind_threepid', (tx) => store.delete(tx, userId, binding))
    return 'success'
  }

  async #serversOf(userId: UserId, { medium, address }: Identifier): Promise<string[]> {
    const { db, store } = this.#deps
    const known = await store.list(db.reader, userId)
    return known
      .filter((binding) => binding.medium === medium && binding.address === address)
      .map(({ idServer }) => idServer)
  }
}

/** Throws `M_INVALID_PARAM`. */
export function parseIdentityServer(text: string): ServerName {
  const server = parseServerName(text)
  if (server === undefined) throw invalidParam('id_server must be the name of a server')
  return server
}

/** https://spec.matrix.org/latest/identity-service-api/#post_matrixidentityv23pidunbind */
function isUnwilling({ status, errcode }: IdentityServerError): boolean {
  return (errcode === undefined && [400, 404, 501].includes(status)) || status === 403
}

function rethrowUnexpected(reason: unknown): void {
  if (!(reason instanceof IdentityServerError) && !(reason instanceof HttpFailure)) throw reason
}
