/** The version of the decision's meaning: goes up when the same facts and snapshot may give another answer. */
export const ENGINE_VERSION = '1'
