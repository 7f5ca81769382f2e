import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.CertPath;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateRevokedException;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Prints what Java's own path validation makes of a certificate under one list or several, where several roots of one
 * name may be trusted.
 *
 * <p>Arguments: the certificate's file, that of the list (or of several in PEM), then the roots'.
 */
final class GenerationCheck {
    public static void main(String[] arguments) throws GeneralSecurityException, IOException {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        Set<TrustAnchor> anchors = new HashSet<>();
        for (int i = 2; i < arguments.length; i++) {
            try (InputStream octets = Files.newInputStream(Path.of(arguments[i]))) {
                anchors.add(new TrustAnchor((X509Certificate) factory.generateCertificate(octets), null));
            }
        }
        PKIXParameters parameters = new PKIXParameters(anchors);
        parameters.setPolicyQualifiersRejected(false);
        try (InputStream octets = Files.newInputStream(Path.of(arguments[1]))) {
            List<?> lists = List.copyOf(factory.generateCRLs(octets));
            parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(lists)));
        }
        try (InputStream octets = Files.newInputStream(Path.of(arguments[0]))) {
            System.out.println(verdict(factory.generateCertPath(List.of(factory.generateCertificate(octets))), parameters));
        }
    }

    private static String verdict(CertPath path, PKIXParameters parameters) throws GeneralSecurityException {
        try {
            CertPathValidator.getInstance("PKIX").validate(path, parameters);
            return "good";
        } catch (CertPathValidatorException refusal) {
            return refusal.getCause() instanceof CertificateRevokedException revocation
                    ? "revoked " + revocation.getRevocationReason()
                    : refusal.getReason().toString();
        }
    }
}
