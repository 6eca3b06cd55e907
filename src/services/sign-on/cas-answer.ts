import type { Element } from '@xmldom/xmldom'

/** What a CAS server says of somebody whose ticket was good. */
export interface CasUser {
  readonly name: string
  /** By name without prefix, in the order in which they come. */
  readonly attributes: ReadonlyMap<string, readonly string[]>
}

export type CasAnswer =
  | { readonly user: CasUser }
  /** `code`: what the server calls the reason. */
  | { readonly refused: string }
  /** No answer of the protocol. */
  | { readonly malformed: string }

const MAX_ATTRIBUTES = 200

/**
 * Reads the answer of a CAS server to the validation of a ticket. Document types are refused: with them go entities,
 * which could make a small answer a large one or read files.
 * https://apereo.github.io/cas/development/protocol/CAS-Protocol-Specification.html
 */
export async function parseCasAnswer(xml: string): Promise<CasAnswer> {
  if (/<!DOCTYPE|<!ENTITY/i.test(xml)) return { malformed: 'it has a document type' }
  const { DOMParser } = await import('@xmldom/xmldom')
  try {
    const parser = new DOMParser({
      onError: (level, message) => {
        if (level !== 'warning') throw new Error(message)
      },
    })
    return readAnswer(parser.parseFromString(xml, 'text/xml').documentElement)
  } catch {
    return { malformed: 'it is not XML, or nested too deeply' }
  }
}

function readAnswer(root: Element | null): CasAnswer {
  if (root?.localName !== 'serviceResponse') return { malformed: 'it is no serviceResponse' }
  const [result] = childrenOf(root)
  if (result?.localName === 'authenticationFailure') {
    return { refused: result.getAttribute('code') ?? 'INTERNAL_ERROR' }
  }
  if (result?.localName !== 'authenticationSuccess')
    return { malformed: 'it says neither success nor failure' }
  return readSuccess(result)
}

function readSuccess(success: Element): CasAnswer {
  const children = childrenOf(success)
  const names = children.filter(({ localName }) => localName === 'user').map(textOf)
  const [name] = names
  if (name === undefined || name === '' || names.length > 1) return { malformed: 'it does not name one user' }
  const attributes = new Map<string, string[]>()
  const listed = children.filter(({ localName }) => localName === 'attributes').flatMap(childrenOf)
  for (const attribute of listed.slice(0, MAX_ATTRIBUTES)) {
    const key = attribute.localName ?? ''
    attributes.set(key, [...(attributes.get(key) ?? []), textOf(attribute)])
  }
  return { user: { name, attributes } }
}

function childrenOf(element: Element): Element[] {
  return Array.from(element.childNodes).filter((node): node is Element => node.nodeType === node.ELEMENT_NODE)
}

/** All of it: a comment in the midst of a name must not cut it. */
function textOf(element: Element): string {
  return (element.textContent ?? '').trim()
}
