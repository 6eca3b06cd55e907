import { z } from 'zod'
import { route } from '../../http/route.js'
import {
  accessOf,
  flagParam,
  redirectParam,
  serveDownload,
  thumbnailParams,
  timeoutParam,
  wantedThumbnail,
} from './media-files.js'

const downloadQuery = z.looseObject({
  timeout_ms: timeoutParam,
  allow_redirect: redirectParam,
  admin_unsafely_bypass_quarantine: flagParam.default(false),
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid */
export const getContentAuthed = route({
  operationId: 'getContentAuthed',
  method: 'GET',
  path: '/_matrix/client/v1/media/download/:serverName/:mediaId',
  aliases: ['/_matrix/client/unstable/org.matrix.msc3916/media/download/:serverName/:mediaId'],
  auth: 'userOrGuest',
  query: downloadQuery,
  async handler({ params, query, requester, request }, { mediaDownloads }) {
    const access = accessOf(request, {
      isAuthenticated: true,
      timeoutMs: query.timeout_ms,
      seesQuarantined: requester.isAdmin && query.admin_unsafely_bypass_quarantine,
    })
    const download = await mediaDownloads.download(params, access)
    return serveDownload(request, download, { isPublic: false, mayRedirect: query.allow_redirect })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mediadownloadservernamemediaidfilename */
export const getContentOverrideNameAuthed = route({
  operationId: 'getContentOverrideNameAuthed',
  method: 'GET',
  path: '/_matrix/client/v1/media/download/:serverName/:mediaId/:fileName',
  aliases: ['/_matrix/client/unstable/org.matrix.msc3916/media/download/:serverName/:mediaId/:fileName'],
  auth: 'userOrGuest',
  query: downloadQuery,
  async handler({ params, query, requester, request }, { mediaDownloads }) {
    const { fileName, ...id } = params
    const access = accessOf(request, {
      isAuthenticated: true,
      timeoutMs: query.timeout_ms,
      seesQuarantined: requester.isAdmin && query.admin_unsafely_bypass_quarantine,
    })
    const download = await mediaDownloads.download(id, access)
    return serveDownload(request, download, { isPublic: false, mayRedirect: query.allow_redirect, fileName })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid */
export const getContentThumbnailAuthed = route({
  operationId: 'getContentThumbnailAuthed',
  method: 'GET',
  path: '/_matrix/client/v1/media/thumbnail/:serverName/:mediaId',
  aliases: ['/_matrix/client/unstable/org.matrix.msc3916/media/thumbnail/:serverName/:mediaId'],
  auth: 'userOrGuest',
  query: z.looseObject({ ...thumbnailParams, allow_redirect: redirectParam }),
  async handler({ params, query, request }, { thumbnails }) {
    const access = accessOf(request, { isAuthenticated: true, timeoutMs: query.timeout_ms })
    const download = await thumbnails.thumbnail(params, wantedThumbnail(query), access)
    return serveDownload(request, download, { isPublic: false, mayRedirect: query.allow_redirect })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mediaconfig */
export const getConfigAuthed = route({
  operationId: 'getConfigAuthed',
  method: 'GET',
  path: '/_matrix/client/v1/media/config',
  aliases: ['/_matrix/client/unstable/org.matrix.msc3916/media/config'],
  auth: 'userOrGuest',
  async handler(_input, { mediaUploads }) {
    return Promise.resolve({ 'm.upload.size': mediaUploads.maxUploadSize })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mediapreview_url */
export const getUrlPreviewAuthed = route({
  operationId: 'getUrlPreviewAuthed',
  method: 'GET',
  path: '/_matrix/client/v1/media/preview_url',
  aliases: ['/_matrix/client/unstable/org.matrix.msc3916/media/preview_url'],
  auth: 'user',
  query: z.looseObject({ url: z.string() }),
  handler: ({ query }, { urlPreviews }) => urlPreviews.preview(query.url),
})
