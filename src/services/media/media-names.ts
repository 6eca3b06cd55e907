import { MatrixError } from '../../protocol/errors.js'

/** What is served for files of which nobody has said what they are. */
export const UNKNOWN_TYPE = 'application/octet-stream'

const TYPE = /^[!#$&^_.+A-Za-z0-9-]{1,127}\/[!#$&^_.+A-Za-z0-9-]{1,127}(?:\s*;[\t\x20-\x7e]*)?$/
const MAX_TYPE_LENGTH = 255

/** A content type as it was given, where it can stand in a header and is one; `application/octet-stream` otherwise. */
export function cleanContentType(given: string | undefined): string {
  const type = given?.trim() ?? ''
  return type.length <= MAX_TYPE_LENGTH && TYPE.test(type) ? type : UNKNOWN_TYPE
}

/** The type without its parameters, in lower case. */
export function essenceOf(contentType: string): string {
  return (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
}

const MAX_NAME_LENGTH = 1000
const CONTROL_CHARACTERS = /\p{Cc}/gu

/** A file name that can be stored and sent; undefined where there is none. */
export function cleanFileName(given: string | undefined): string | undefined {
  const name = given?.toWellFormed().replace(CONTROL_CHARACTERS, '').slice(0, MAX_NAME_LENGTH).toWellFormed()
  return name === '' ? undefined : name
}

/** Somebody asked for what has been announced and is not there yet. */
export function notYetUploaded(): MatrixError {
  return new MatrixError('M_NOT_YET_UPLOADED', 'The content has not been uploaded yet')
}
