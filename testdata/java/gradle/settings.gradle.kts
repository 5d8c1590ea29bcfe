rootProject.name = "gradle-birds"

include("app", "birds")
