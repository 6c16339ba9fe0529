// The servers whose stores connect() opens, for tests of all of them.
export const providers = ['qdrant', 'chroma', 'weaviate'];
