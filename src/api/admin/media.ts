import { z } from 'zod'
import { invalidParam } from '../../protocol/errors.js'
import { formatMxcUri } from '../../protocol/mxc-uri.js'
import { route } from '../../http/route.js'
import { count, flagParam, timeParam } from './paging.js'

/** What is known of a file, of this server or of another. */
export const getMediaInfo = route({
  operationId: 'adminGetMediaInfo',
  method: 'GET',
  path: '/_synapse/admin/v1/media/:serverName/:mediaId',
  auth: 'admin',
  async handler({ params }, { mediaQuarantine }) {
    const file = await mediaQuarantine.show(params)
    return {
      media_info: {
        media_origin: file.userId === undefined ? file.serverName : null,
        user_id: file.userId ?? null,
        media_id: file.mediaId,
        media_type: file.contentType ?? null,
        media_length: file.length ?? null,
        upload_name: file.uploadName ?? null,
        created_ts: file.createdTs,
        filesystem_id: file.fileKey ?? null,
        url_cache: file.previewUrl ?? null,
        last_access_ts: file.lastAccessTs,
        quarantined_by: file.quarantinedBy ?? null,
        authenticated: file.isAuthenticated,
        safe_from_quarantine: file.isProtected,
        sha256: file.sha256 ?? null,
      },
    }
  },
})

export const deleteMedia = route({
  operationId: 'adminDeleteMedia',
  method: 'DELETE',
  path: '/_synapse/admin/v1/media/:serverName/:mediaId',
  auth: 'admin',
  async handler({ params: { serverName, mediaId } }, { mediaDeletion, serverDescription }) {
    if (serverName !== serverDescription.serverName) throw invalidParam('Can only delete local media')
    await mediaDeletion.delete([{ serverName, mediaId }])
    return { deleted_media: [mediaId], total: 1 }
  },
})

/** Deletes files of this server by when somebody last asked for them, and by their size. */
export const deleteMediaByDate = route({
  operationId: 'adminDeleteMediaByDate',
  method: 'POST',
  path: '/_synapse/admin/v1/media/delete',
  auth: 'admin',
  query: z.looseObject({ before_ts: timeParam, size_gt: count.default(0), keep_profiles: flagParam }),
  async handler({ query, request }, { mediaDeletion }) {
    const deleted = await mediaDeletion.deleteLocal({
      accessedBefore: query.before_ts,
      largerThan: query.size_gt,
      sparesLasting: query.keep_profiles ?? true,
      signal: request.signal,
    })
    return { deleted_media: deleted.map(mediaIdOf), total: deleted.length }
  },
})

/** Deletes what is kept of other servers and was not asked for since then. */
export const purgeMediaCache = route({
  operationId: 'adminPurgeMediaCache',
  method: 'POST',
  path: '/_synapse/admin/v1/purge_media_cache',
  auth: 'admin',
  query: z.looseObject({ before_ts: timeParam }),
  async handler({ query, request }, { mediaDeletion }) {
    return { deleted: (await mediaDeletion.deleteRemote(query.before_ts, request.signal)).length }
  },
})

export const deleteMediaOfUser = route({
  operationId: 'adminDeleteMediaOfUser',
  method: 'DELETE',
  path: '/_synapse/admin/v1/users/:userId/media',
  auth: 'admin',
  async handler({ params }, { mediaDeletion, accountOverviews }) {
    await accountOverviews.show(params.userId)
    const deleted = await mediaDeletion.deleteOfUser(params.userId)
    return { deleted_media: deleted.map(mediaIdOf), total: deleted.length }
  },
})

export const quarantineMedia = route({
  operationId: 'adminQuarantineMedia',
  method: 'POST',
  path: '/_synapse/admin/v1/media/quarantine/:serverName/:mediaId',
  auth: 'admin',
  async handler({ params, requester }, { mediaQuarantine }) {
    await mediaQuarantine.quarantine([params], requester.userId)
    return {}
  },
})

export const unquarantineMedia = route({
  operationId: 'adminUnquarantineMedia',
  method: 'POST',
  path: '/_synapse/admin/v1/media/unquarantine/:serverName/:mediaId',
  auth: 'admin',
  async handler({ params }, { mediaQuarantine }) {
    await mediaQuarantine.release([params])
    return {}
  },
})

/** Says that a file of this server is never quarantined. */
export const protectMedia = route({
  operationId: 'adminProtectMedia',
  method: 'POST',
  path: '/_synapse/admin/v1/media/protect/:mediaId',
  auth: 'admin',
  async handler({ params: { mediaId } }, { mediaQuarantine, serverDescription: { serverName } }) {
    await mediaQuarantine.setProtected({ serverName, mediaId }, true)
    return {}
  },
})

export const unprotectMedia = route({
  operationId: 'adminUnprotectMedia',
  method: 'POST',
  path: '/_synapse/admin/v1/media/unprotect/:mediaId',
  auth: 'admin',
  async handler({ params: { mediaId } }, { mediaQuarantine, serverDescription: { serverName } }) {
    await mediaQuarantine.setProtected({ serverName, mediaId }, false)
    return {}
  },
})

export const quarantineMediaOfRoom = route({
  operationId: 'adminQuarantineMediaOfRoom',
  method: 'POST',
  path: '/_synapse/admin/v1/room/:roomId/media/quarantine',
  auth: 'admin',
  aliases: ['/_synapse/admin/v1/quarantine_media/:roomId'],
  async handler({ params, requester }, { mediaQuarantine }) {
    return { num_quarantined: await mediaQuarantine.quarantineRoom(params.roomId, requester.userId) }
  },
})

export const quarantineMediaOfUser = route({
  operationId: 'adminQuarantineMediaOfUser',
  method: 'POST',
  path: '/_synapse/admin/v1/user/:userId/media/quarantine',
  auth: 'admin',
  async handler({ params, requester }, { mediaQuarantine }) {
    return { num_quarantined: await mediaQuarantine.quarantineUser(params.userId, requester.userId) }
  },
})

export const listMediaOfRoom = route({
  operationId: 'adminListMediaOfRoom',
  method: 'GET',
  path: '/_synapse/admin/v1/room/:roomId/media',
  auth: 'admin',
  async handler({ params }, { mediaQuarantine, serverDescription }) {
    const files = await mediaQuarantine.listOfRoom(params.roomId)
    const isLocal = ({ serverName }: { serverName: string }): boolean =>
      serverName === serverDescription.serverName
    return {
      local: files.filter(isLocal).map(formatMxcUri),
      remote: files.filter((file) => !isLocal(file)).map(formatMxcUri),
    }
  },
})

function mediaIdOf(uri: string): string {
  return uri.slice(uri.lastIndexOf('/') + 1)
}
