import type { Query, Tx } from '../database.js'
import type { CrossSigningKey, CrossSigningUsage } from '../../protocol/cross-signing-keys.js'
import type { UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/** The cross-signing keys of a user, as far as they have any. */
export type CrossSigningKeys = Readonly<Partial<Record<CrossSigningUsage, CrossSigningKey>>>

/** A signature that was made after the key itself was uploaded. */
export interface KeySignature {
  /** Whose key is signed. */
  readonly userId: UserId
  /** The device ID, or the public key of a cross-signing key. */
  readonly subject: string
  readonly signerId: UserId
  /** `ed25519:` and the device or public key that signs. */
  readonly keyId: string
  readonly signature: string
}

interface KeyRow {
  user_id: string
  usage: string
  public_key: string
  key: string
}

interface SignatureRow {
  user_id: string
  subject: string
  signer_id: string
  key_id: string
  signature: string
}

const SIGNATURE_COLUMNS = {
  user_id: 'text',
  subject: 'text',
  signer_id: 'text',
  key_id: 'text',
  signature: 'text',
} as const

const NO_KEYS: CrossSigningKeys = {}

/** Keys with which users sign keys, their own and each other's, and the signatures. */
export class CrossSigningStore {
  async get(q: Query, userId: UserId): Promise<CrossSigningKeys> {
    return (await this.getMany(q, [userId])).get(userId) ?? NO_KEYS
  }

  /** Of those who have any. By primary key prefix. */
  async getMany(q: Query, userIds: readonly UserId[]): Promise<Map<UserId, CrossSigningKeys>> {
    const keys = new Map<UserId, CrossSigningKeys>()
    if (userIds.length === 0) return keys
    const rows = await q.all<KeyRow>(
      `SELECT * FROM cross_signing_keys WHERE ${q.dialect.anyOf('user_id', 'text')}`,
      [q.dialect.list(userIds)],
    )
    for (const row of rows) {
      const userId = row.user_id as UserId
      const usage = row.usage as CrossSigningUsage
      const key = { usage, publicKey: row.public_key, json: JSON.parse(row.key) as JsonObject }
      keys.set(userId, { ...keys.get(userId), [usage]: key })
    }
    return keys
  }

  /** Sets keys, each instead of the one with the same usage. */
  async set(tx: Tx, userId: UserId, keys: readonly CrossSigningKey[]): Promise<void> {
    await tx.insertMany(
      'cross_signing_keys',
      keys.map(({ usage, publicKey, json }) => ({
        user_id: userId,
        usage,
        public_key: publicKey,
        key: JSON.stringify(json),
      })),
      {
        columns: { user_id: 'text', usage: 'text', public_key: 'text', key: 'text' },
        conflict: { key: ['user_id', 'usage'], update: ['public_key', 'key'] },
      },
    )
  }

  async delete(tx: Tx, userId: UserId, usages: readonly CrossSigningUsage[]): Promise<void> {
    await tx.execute(
      `DELETE FROM cross_signing_keys WHERE user_id = ? AND ${tx.dialect.anyOf('usage', 'text')}`,
      [userId, tx.dialect.list(usages)],
    )
  }

  /**
   * The signatures of these users' keys that `viewerId` may see: those by each user themselves, and the viewer's own
   * where there is a viewer. By primary key prefix.
   */
  async listSignatures(
    q: Query,
    userIds: readonly UserId[],
    viewerId: UserId | undefined,
  ): Promise<KeySignature[]> {
    if (userIds.length === 0) return []
    const rows = await q.all<SignatureRow>(
      `SELECT * FROM key_signatures WHERE ${q.dialect.anyOf('user_id', 'text')}
       AND (signer_id = user_id OR signer_id = ?)`,
      [q.dialect.list(userIds), viewerId ?? ''],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      subject: row.subject,
      signerId: row.signer_id as UserId,
      keyId: row.key_id,
      signature: row.signature,
    }))
  }

  async addSignatures(tx: Tx, signatures: readonly KeySignature[]): Promise<void> {
    await tx.insertMany(
      'key_signatures',
      signatures.map(({ userId, subject, signerId, keyId, signature }) => ({
        user_id: userId,
        subject,
        signer_id: signerId,
        key_id: keyId,
        signature,
      })),
      {
        columns: SIGNATURE_COLUMNS,
        conflict: { key: ['user_id', 'subject', 'signer_id', 'key_id'], update: ['signature'] },
      },
    )
  }

  /** Deletes the signatures of these keys of a user's, and those made with them. `names`: without `ed25519:`. */
  async deleteSignatures(tx: Tx, userId: UserId, names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    await tx.execute(
      `DELETE FROM key_signatures WHERE user_id = ? AND ${tx.dialect.anyOf('subject', 'text')}`,
      [userId, tx.dialect.list(names)],
    )
    await tx.execute(
      `DELETE FROM key_signatures WHERE signer_id = ? AND ${tx.dialect.anyOf('key_id', 'text')}`,
      [userId, tx.dialect.list(names.map((name) => `ed25519:${name}`))],
    )
  }

  /** Deletes a user's keys, the signatures of them and by them. */
  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM cross_signing_keys WHERE user_id = ?', [userId])
    await tx.execute('DELETE FROM key_signatures WHERE user_id = ?', [userId])
    await tx.execute('DELETE FROM key_signatures WHERE signer_id = ?', [userId])
    await tx.execute('DELETE FROM user_signature_changes WHERE signer_id = ?', [userId])
  }

  /** Says that a user has signed keys of these users at this position of the stream of device lists. */
  async recordSigned(tx: Tx, signerId: UserId, userIds: readonly UserId[], streamId: number): Promise<void> {
    await tx.insertMany(
      'user_signature_changes',
      userIds.map((userId) => ({ signer_id: signerId, user_id: userId, stream_id: streamId })),
      {
        columns: { signer_id: 'text', user_id: 'text', stream_id: 'integer' },
        conflict: { key: ['signer_id', 'user_id'], update: ['stream_id'] },
      },
    )
  }

  /** Whose keys a user has signed after one position, up to and including another. By primary key prefix. */
  async listSigned(q: Query, signerId: UserId, range: { after: number; upTo: number }): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      `SELECT user_id FROM user_signature_changes
       WHERE signer_id = ? AND stream_id > ? AND stream_id <= ? ORDER BY user_id`,
      [signerId, range.after, range.upTo],
    )
    return rows.map((row) => row.user_id as UserId)
  }
}
