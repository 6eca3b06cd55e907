import { createHash, createHmac } from 'node:crypto'

/** What a signed link is made of. */
export interface S3LinkRequest {
  /** Of the bucket, without a query: keys are added to its path. */
  readonly base: URL
  readonly key: string
  readonly region: string
  readonly credentials: {
    readonly accessKeyId: string
    readonly secretAccessKey: string
    readonly sessionToken?: string | undefined
  }
  /** Parameters of the request, such as `response-content-type`. */
  readonly parameters: Readonly<Record<string, string>>
  readonly now: Date
  /** How long the link is good, in seconds: a week at most. */
  readonly lifetimeSeconds: number
}

const ALGORITHM = 'AWS4-HMAC-SHA256'

/**
 * A link with which anybody may read an object until it expires, by Signature Version 4.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
export function signedLink(request: S3LinkRequest): string {
  const { base, key, region, credentials, now } = request
  const time = now.toISOString().replace(/[-:]|\.\d{3}/g, '')
  const date = time.slice(0, 8)
  const scope = `${date}/${region}/s3/aws4_request`
  const path = `${base.pathname.replace(/\/$/, '')}/${key.split('/').map(encode).join('/')}`
  const query = canonicalQuery({
    ...request.parameters,
    'X-Amz-Algorithm': ALGORITHM,
    'X-Amz-Credential': `${credentials.accessKeyId}/${scope}`,
    'X-Amz-Date': time,
    'X-Amz-Expires': String(request.lifetimeSeconds),
    'X-Amz-SignedHeaders': 'host',
    ...(credentials.sessionToken === undefined ? {} : { 'X-Amz-Security-Token': credentials.sessionToken }),
  })
  const canonical = ['GET', path, query, `host:${base.host}\n`, 'host', 'UNSIGNED-PAYLOAD'].join('\n')
  const toSign = [ALGORITHM, time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n')
  const signingKey = [date, region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${credentials.secretAccessKey}`,
  )
  const signature = createHmac('sha256', signingKey).update(toSign).digest('hex')
  return `${base.origin}${path}?${query}&X-Amz-Signature=${signature}`
}

function canonicalQuery(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort((a, b) => (a < b ? -1 : 1))
    .join('&')
}

/** Everything but letters, digits and `-._~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
