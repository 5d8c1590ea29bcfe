plugins {
    application
}

repositories {
    mavenCentral()
}

dependencies {
    implementation(project(":birds"))
    implementation("com.google.code.gson:gson:2.13.2")
}

java {
    toolchain {
        languageVersion = JavaLanguageVersion.of(21)
    }
}

application {
    mainClass = "com.example.app.App"
}
