import type { AccountEntry, AccountOverview } from '../../services/administration/account-overviews.js'
import type { JsonObject } from '../../util/json.js'

/** An account as it stands in lists. */
export function listedUserJson(account: AccountEntry): JsonObject {
  return {
    name: account.userId,
    user_type: account.userType ?? null,
    is_guest: account.isGuest,
    admin: account.isAdmin,
    deactivated: account.isDeactivated,
    shadow_banned: account.isShadowBanned,
    displayname: account.displayName ?? null,
    avatar_url: account.avatarUrl ?? null,
    creation_ts: account.createdTs,
    approved: true,
    erased: account.isErased,
    last_seen_ts: account.lastSeenTs ?? null,
    locked: account.isLocked,
  }
}

/** An account by itself. Times of creation are in seconds here. */
export function userJson(account: AccountOverview): JsonObject {
  return {
    name: account.userId,
    displayname: account.displayName ?? null,
    threepids: account.threepids.map(({ medium, address, addedTs, validatedTs }) => ({
      medium,
      address,
      added_at: addedTs,
      validated_at: validatedTs,
    })),
    avatar_url: account.avatarUrl ?? null,
    is_guest: account.isGuest,
    admin: account.isAdmin,
    deactivated: account.isDeactivated,
    erased: account.isErased,
    shadow_banned: account.isShadowBanned,
    creation_ts: Math.floor(account.createdTs / 1000),
    last_seen_ts: account.lastSeenTs ?? null,
    appservice_id: account.appserviceId ?? null,
    consent_server_notice_sent: account.policyNotice ?? null,
    consent_version: account.consent?.version ?? null,
    consent_ts: account.consent?.ts ?? null,
    external_ids: account.externalIds.map(({ authProvider, externalId }) => ({
      auth_provider: authProvider,
      external_id: externalId,
    })),
    user_type: account.userType ?? null,
    locked: account.isLocked,
    suspended: account.isSuspended,
  }
}
