import { z } from 'zod'
import { route } from '../../http/route.js'
import {
  accessOf,
  flagParam,
  serveDownload,
  thumbnailParams,
  timeoutParam,
  uploadOf,
  wantedThumbnail,
} from './media-files.js'

const uploadQuery = z.looseObject({ filename: z.string().optional() })

/** https://spec.matrix.org/latest/client-server-api/#post_matrixmediav3upload */
export const uploadContent = route({
  operationId: 'uploadContent',
  method: 'POST',
  path: '/_matrix/media/v3/upload',
  aliases: ['/_matrix/media/v1/upload'],
  auth: 'user',
  query: uploadQuery,
  async handler({ query, requester, request }, { mediaUploads }) {
    const uri = await mediaUploads.upload(requester, uploadOf(request, query.filename))
    return { content_uri: uri }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixmediav3uploadservernamemediaid */
export const uploadContentToMXC = route({
  operationId: 'uploadContentToMXC',
  method: 'PUT',
  path: '/_matrix/media/v3/upload/:serverName/:mediaId',
  aliases: [
    '/_matrix/media/v1/upload/:serverName/:mediaId',
    '/_matrix/media/unstable/fi.mau.msc2246/upload/:serverName/:mediaId',
  ],
  auth: 'user',
  query: uploadQuery,
  async handler({ params, query, requester, request }, { mediaUploads }) {
    await mediaUploads.uploadTo(requester, params, uploadOf(request, query.filename))
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixmediav1create */
export const createContent = route({
  operationId: 'createContent',
  method: 'POST',
  path: '/_matrix/media/v1/create',
  aliases: ['/_matrix/media/v3/create', '/_matrix/media/unstable/fi.mau.msc2246/create'],
  auth: 'user',
  rateLimit: 'mediaCreate',
  async handler({ requester }, { mediaUploads }) {
    const { uri, expiresTs } = await mediaUploads.create(requester)
    return { content_uri: uri, unused_expires_at: expiresTs }
  },
})

const downloadQuery = z.looseObject({
  timeout_ms: timeoutParam,
  allow_remote: flagParam.default(true),
  allow_redirect: flagParam.default(false),
  admin_unsafely_bypass_quarantine: flagParam.default(false),
})

/**
 * Without a token for files from before tokens were needed, with one for all.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixmediav3downloadservernamemediaid
 */
export const getContent = route({
  operationId: 'getContent',
  method: 'GET',
  path: '/_matrix/media/v3/download/:serverName/:mediaId',
  aliases: ['/_matrix/media/v1/download/:serverName/:mediaId'],
  auth: 'optionalUser',
  query: downloadQuery,
  async handler({ params, query, requester, request }, { mediaDownloads }) {
    const isAuthenticated = requester !== undefined
    const access = accessOf(request, {
      isAuthenticated,
      timeoutMs: query.timeout_ms,
      allowRemote: query.allow_remote,
      seesQuarantined: requester?.isAdmin === true && query.admin_unsafely_bypass_quarantine,
    })
    const download = await mediaDownloads.download(params, access)
    return serveDownload(request, download, {
      isPublic: !isAuthenticated,
      mayRedirect: query.allow_redirect,
    })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixmediav3downloadservernamemediaidfilename */
export const getContentOverrideName = route({
  operationId: 'getContentOverrideName',
  method: 'GET',
  path: '/_matrix/media/v3/download/:serverName/:mediaId/:fileName',
  aliases: ['/_matrix/media/v1/download/:serverName/:mediaId/:fileName'],
  auth: 'optionalUser',
  query: downloadQuery,
  async handler({ params, query, requester, request }, { mediaDownloads }) {
    const { fileName, ...id } = params
    const isAuthenticated = requester !== undefined
    const access = accessOf(request, {
      isAuthenticated,
      timeoutMs: query.timeout_ms,
      allowRemote: query.allow_remote,
      seesQuarantined: requester?.isAdmin === true && query.admin_unsafely_bypass_quarantine,
    })
    const download = await mediaDownloads.download(id, access)
    return serveDownload(request, download, {
      isPublic: !isAuthenticated,
      mayRedirect: query.allow_redirect,
      fileName,
    })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixmediav3thumbnailservernamemediaid */
export const getContentThumbnail = route({
  operationId: 'getContentThumbnail',
  method: 'GET',
  path: '/_matrix/media/v3/thumbnail/:serverName/:mediaId',
  aliases: ['/_matrix/media/v1/thumbnail/:serverName/:mediaId'],
  auth: 'optionalUser',
  query: z.looseObject({
    ...thumbnailParams,
    allow_remote: flagParam.default(true),
    allow_redirect: flagParam.default(false),
  }),
  async handler({ params, query, requester, request }, { thumbnails }) {
    const isAuthenticated = requester !== undefined
    const access = accessOf(request, {
      isAuthenticated,
      timeoutMs: query.timeout_ms,
      allowRemote: query.allow_remote,
    })
    const download = await thumbnails.thumbnail(params, wantedThumbnail(query), access)
    return serveDownload(request, download, {
      isPublic: !isAuthenticated,
      mayRedirect: query.allow_redirect,
    })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixmediav3config */
export const getConfig = route({
  operationId: 'getConfig',
  method: 'GET',
  path: '/_matrix/media/v3/config',
  aliases: ['/_matrix/media/v1/config'],
  auth: 'userOrGuest',
  async handler(_input, { mediaUploads }) {
    return Promise.resolve({ 'm.upload.size': mediaUploads.maxUploadSize })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixmediav3preview_url */
export const getUrlPreview = route({
  operationId: 'getUrlPreview',
  method: 'GET',
  path: '/_matrix/media/v3/preview_url',
  aliases: ['/_matrix/media/v1/preview_url'],
  auth: 'user',
  query: z.looseObject({ url: z.string() }),
  handler: ({ query }, { urlPreviews }) => urlPreviews.preview(query.url),
})
