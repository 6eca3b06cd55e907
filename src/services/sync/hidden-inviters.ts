import type { CacheRegistry, RowCache } from '../../storage/cache-registry.js'
import type { Database } from '../../storage/database.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { UserId } from '../../protocol/ids.js'
import type { InvitePermission } from '../../protocol/invite-permission.js'
import type { InvitePermissions } from '../accounts/invite-permissions.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'
import type { IgnoredUsers } from './ignored-users.js'

/** Those whose invitations somebody is not told of. */
export interface Inviters {
  has(inviter: UserId): boolean
}

/**
 * Whose invitations are kept from users: of those whom they ignore, and of those whom they do not let invite them; also
 * invitations from before they said so.
 * https://spec.matrix.org/latest/client-server-api/#invite-permission
 */
export class HiddenInviters implements PositionSink {
  readonly #db: Database
  readonly #ignored: Pick<IgnoredUsers, 'of'>
  readonly #permissions: InvitePermissions
  readonly #cache: RowCache<UserId, InvitePermission>

  constructor(
    db: Database,
    caches: CacheRegistry,
    parts: { readonly ignored: Pick<IgnoredUsers, 'of'>; readonly permissions: InvitePermissions },
  ) {
    this.#db = db
    this.#ignored = parts.ignored
    this.#permissions = parts.permissions
    this.#cache = caches.createMutable({ name: 'invite_permissions', max: 20_000 })
  }

  async of(userId: UserId): Promise<Inviters> {
    const [ignored, permission] = await Promise.all([
      this.#ignored.of(userId),
      this.#cache.getRow(this.#db.reader, userId, () => this.#permissions.of(userId)),
    ])
    if (permission === undefined || permission.allowsAll) return ignored
    return { has: (inviter) => ignored.has(inviter) || permission.judge(inviter) !== 'allow' }
  }

  onNewPosition(stream: StreamName, { users = [] }: PositionHints): void {
    if (stream === 'account_data') for (const userId of users) this.#cache.delete(userId)
  }
}
