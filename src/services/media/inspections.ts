import { inspectImage, type ImageInspection, type ImageOutcome } from './image-inspection.js'
import { inspectPage, type PageFacts, type PageInspection } from './page-inspection.js'

/** Something of a stranger's that is to be looked at. */
export type Inspection = ImageInspection | PageInspection

/** What came of it. `unusable`: it is not what it should be. */
export type InspectionOutcome =
  | ImageOutcome
  | { readonly kind: 'page'; readonly facts: PageFacts }
  | { readonly kind: 'unusable'; readonly reason: string }

/** Looks at it. Rejects only for what is wrong with the server. */
export async function inspect(inspection: Inspection): Promise<InspectionOutcome> {
  if (inspection.kind === 'page') return { kind: 'page', facts: await inspectPage(inspection) }
  return inspectImage(inspection)
}
